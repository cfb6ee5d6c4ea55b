//! A filter over streaming text that keeps `[n]` marks of passages there are and drops the others.
//!
//! It works character by character, so that it does not matter how the text was cut into chunks, and holds back
//! only what may still become a mark. Code and links stay as they are: in code spans, fenced blocks and
//! `[text](url)`, brackets mean something else. A code span ends with its paragraph at the latest, since whether
//! a lone backtick opens one cannot be known before the text is over.

/// A mark that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The passage's number, from 1.
    pub number: usize,
    /// Where the mark stands in the filtered text, in characters; `end` is exclusive.
    pub start: usize,
    pub end: usize,
}

/// Characters between the brackets of a possible mark; what is longer is no mark.
const HELD_CHARS_MAX: usize = 48;

/// Digits of a number in a mark. Longer ones ("[2024]") are taken for text.
const NUMBER_DIGITS_MAX: usize = 3;

/// The filter's state between two chunks.
#[derive(Debug)]
pub struct MarkFilter {
    /// Passages there are; marks run from 1 to this.
    passages: usize,
    out: String,
    /// Characters written so far, those already handed out included.
    written: usize,
    marks: Vec<Mark>,
    held: Held,
    code: Code,
    ticks: Ticks,
    line: Line,
    link: Link,
    escaped: bool,
    /// What was written last could be the beginning of a mark: "[1, ".
    mark_begun: bool,
}

/// What waits until it is known whether it belongs to a mark.
#[derive(Debug, Default)]
struct Held {
    /// A space in front of a possible mark; dropped with it.
    space: bool,
    /// From "[" on.
    bracket: Option<String>,
    /// Whether the bracket has been closed: the next character decides between mark and link.
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    None,
    /// Opened by so many backticks.
    Span(usize),
    /// Opened by so many of this character.
    Fence(char, usize),
}

/// The run of backticks or tildes being read.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    char: char,
    count: usize,
    /// Only white space stands in front of it on its line.
    first: bool,
}

/// Where in a link the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    None,
    /// Behind a "]": a "(" would begin a destination.
    Bracket,
    /// In a destination, so many parentheses deep.
    Destination(usize),
}

/// What the current line has held so far.
#[derive(Debug, Clone, Copy)]
struct Line {
    blank: bool,
    /// After a fence's closing run, only white space may follow.
    closing: bool,
}

impl MarkFilter {
    #[must_use]
    pub fn new(passages: usize) -> Self {
        Self {
            passages,
            out: String::new(),
            written: 0,
            marks: Vec::new(),
            held: Held::default(),
            code: Code::None,
            ticks: Ticks { char: '`', count: 0, first: false },
            line: Line { blank: true, closing: false },
            link: Link::None,
            escaped: false,
            mark_begun: false,
        }
    }

    /// Takes a chunk; gives what can be shown now.
    #[must_use]
    pub fn push(&mut self, chunk: &str) -> String {
        for c in chunk.chars() {
            self.take(c);
        }
        std::mem::take(&mut self.out)
    }

    /// Gives the rest, with all marks of the whole text.
    #[must_use]
    pub fn finish(mut self) -> (String, Vec<Mark>) {
        if self.held.closed {
            self.settle(None);
        }
        self.release();
        (self.out, self.marks)
    }

    fn take(&mut self, c: char) {
        if self.held.closed {
            self.settle(Some(c));
        }
        if let Some(bracket) = &mut self.held.bracket {
            match c {
                ']' => {
                    bracket.push(c);
                    self.held.closed = true;
                    // Read for what follows: "[9](" is a link.
                    self.follow_link(c);
                    return;
                }
                '0'..='9' | ',' | ' ' if bracket.len() <= HELD_CHARS_MAX => {
                    bracket.push(c);
                    return;
                }
                _ => self.release(),
            }
        }
        self.read_code(c);
        match c {
            '[' if self.code == Code::None && !self.escaped && !self.in_destination() => {
                self.held.bracket = Some("[".to_owned())
            }
            ' ' if self.code == Code::None && !self.line.blank => {
                self.release();
                self.held.space = true;
            }
            _ => {
                self.release();
                self.write(c);
            }
        }
        self.follow_link(c);
        self.escaped = c == '\\' && !self.escaped && self.code == Code::None;
    }

    /// The bracket is closed and the next character is known: a link, a mark, or mere text.
    fn settle(&mut self, next: Option<char>) {
        self.held.closed = false;
        let numbers = self.held.bracket.as_deref().and_then(numbers);
        let Some(numbers) = numbers.filter(|_| next != Some('(')) else { return self.release() };
        self.held.bracket = None;
        self.link = Link::None;
        let known: Vec<usize> = numbers.into_iter().filter(|n| (1..=self.passages).contains(n)).collect();
        if known.is_empty() {
            let ends =
                next.is_none_or(|c| c.is_whitespace() || matches!(c, '.' | ',' | ';' | ':' | '!' | '?'));
            if ends {
                self.held.space = false;
            }
            // "[[9]1]" must not become a mark by losing its middle.
            if self.mark_begun {
                self.release();
                self.write('\u{2026}');
            }
            return;
        }
        self.release();
        for number in known {
            let start = self.written;
            for c in format!("[{number}]").chars() {
                self.write(c);
            }
            self.marks.push(Mark { number, start, end: self.written });
        }
    }

    /// What was held turned out to be text.
    fn release(&mut self) {
        if std::mem::take(&mut self.held.space) {
            self.write(' ');
        }
        for c in self.held.bracket.take().unwrap_or_default().chars() {
            self.write(c);
        }
    }

    fn write(&mut self, c: char) {
        self.mark_begun = c == '[' || (self.mark_begun && matches!(c, '0'..='9' | ',' | ' '));
        self.out.push(c);
        self.written += 1;
    }

    fn in_destination(&self) -> bool {
        matches!(self.link, Link::Destination(_))
    }

    fn follow_link(&mut self, c: char) {
        self.link = match (self.link, c) {
            (Link::Bracket, '(') => Link::Destination(1),
            (Link::Destination(depth), '(') => Link::Destination(depth + 1),
            (Link::Destination(1), ')') | (Link::Destination(_), '\n') => Link::None,
            (Link::Destination(depth), ')') => Link::Destination(depth - 1),
            (Link::Destination(depth), _) => Link::Destination(depth),
            (Link::None | Link::Bracket, ']') if self.code == Code::None => Link::Bracket,
            (Link::None | Link::Bracket, _) => Link::None,
        };
    }

    /// Follows CommonMark's code spans and fences as far as a mark can stand beside them.
    fn read_code(&mut self, c: char) {
        let in_run = self.ticks.count > 0 && c == self.ticks.char;
        if !in_run && self.ticks.count > 0 {
            self.end_of_run();
        }
        let opens_run = c == '`' && !(self.escaped && self.code == Code::None)
            || c == '~' && self.line.blank && !matches!(self.code, Code::Span(_));
        if in_run {
            self.ticks.count += 1;
        } else if opens_run {
            self.ticks = Ticks { char: c, count: 1, first: self.line.blank };
        }
        if c == '\n' {
            let blank = self.line.blank;
            if self.line.closing {
                self.code = Code::None;
            }
            if blank && matches!(self.code, Code::Span(_)) {
                self.code = Code::None;
            }
            self.line = Line { blank: true, closing: false };
        } else if !c.is_whitespace() {
            self.line.blank = false;
            if !in_run && !opens_run {
                self.line.closing = false;
            }
        }
    }

    fn end_of_run(&mut self) {
        let Ticks { char, count, first } = self.ticks;
        self.ticks.count = 0;
        match self.code {
            Code::None if first && count >= 3 => self.code = Code::Fence(char, count),
            Code::None if char == '`' => self.code = Code::Span(count),
            Code::Span(opened) if char == '`' && opened == count => self.code = Code::None,
            Code::Fence(fence, opened) if first && fence == char && count >= opened => {
                self.line.closing = true
            }
            Code::None | Code::Span(_) | Code::Fence(..) => {}
        }
    }
}

/// The numbers of "[1, 9]", if it is a list of numbers and nothing else.
fn numbers(bracket: &str) -> Option<Vec<usize>> {
    let inner = bracket.strip_prefix('[')?.strip_suffix(']')?;
    inner
        .split(',')
        .map(|part| {
            let digits = part.trim_matches(' ');
            let fits = (1..=NUMBER_DIGITS_MAX).contains(&digits.len());
            if fits { digits.parse().ok() } else { None }
        })
        .collect()
}

#[cfg(test)]
mod tests;
