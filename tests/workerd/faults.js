// The built worker with two things around it that the platform has and workerd has not: ledgers that can't be reached, and
// the rate limit in front of everything. Tests steer both through the key-value store.

import Built, { Ledger as BuiltLedger } from "./index.js";

export * from "./index.js";

// Longer than anybody waits for a ledger.
const STALL_MS = 20_000;

/** A ledger that fails while the store's `test:ledgers` says "fail", and is silent while it says "stall". */
export class Ledger {
  constructor(state, env) {
    this.env = env;
    this.ledger = new BuiltLedger(state, env);
  }

  async fetch(request) {
    const fault = await this.env.KEYS.get("test:ledgers");
    if (fault === "fail") throw new Error("scripted: this ledger fails");
    if (fault === "stall") await scheduler.wait(STALL_MS);
    return this.ledger.fetch(request);
  }

  async alarm() {
    return this.ledger.alarm();
  }
}

/** The platform's rate limit, as a worker sees it: `test:flood-guard` calls for each key, or without end. */
class Ratelimit {
  constructor(env) {
    this.env = env;
    this.calls = new Map();
  }

  async limit({ key }) {
    const most = await this.env.KEYS.get("test:flood-guard");
    if (most === "broken") throw new Error("scripted: the flood guard fails");
    const calls = (this.calls.get(key) ?? 0) + 1;
    this.calls.set(key, calls);
    return { success: most === null || calls <= Number(most) };
  }
}

let guard;

export default class extends Built {
  constructor(context, env) {
    guard ??= new Ratelimit(env);
    super(context, { ...env, FLOOD_GUARD: guard });
  }
}
