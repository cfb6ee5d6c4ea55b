//! Perigee as its users meet it: the built worker in workerd, a real origin behind it, real clients before it.
//!
//! `cargo xtask test` builds what they need and runs them.

mod admission;
mod admission_faults;
mod admission_keys;
mod admission_keys_command;
mod admission_limits;
mod admission_running;
mod asking;
mod bad_input;
mod caching;
mod changes;
mod clients;
mod durability;
mod failover;
mod passing_on;
mod purging;
mod reuse;
mod reuse_trial;
mod sending;
mod streams;
mod tiers;
mod users;
mod users_keys;

/// Documents that most tests ask about.
const GUIDE: &[(&str, &str)] = &[
    (
        "refunds",
        "# Refunds\n\nA refund takes five working days. It is paid to the card that was used for the purchase.\n",
    ),
    (
        "install",
        "# Installation\n\n## On Linux\n\nInstall the program with `apt install perigee-demo`.\n\n## On Windows\n\nInstall the program with the file `setup.exe` from the download page.\n",
    ),
    ("support", "# Support\n\nThe support desk is open from nine to five on working days.\n"),
];

const REFUND: &str = "How long does a refund take?";
