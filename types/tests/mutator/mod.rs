//! Changes inputs at random, the same way for the same seed. Included by the tests of several crates.
#![allow(clippy::indexing_slicing, dead_code)]

/// Numbers that programs trip over.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// Words that mean something to some parser.
const WORDS: [&str; 40] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    ",",
    ";",
    ":",
    "\"",
    "'",
    "\\",
    "-",
    "+",
    ".",
    "e",
    "E",
    " ",
    "\t",
    "\n",
    "0",
    "1",
    "9",
    "99999999999999999999",
    "1e308",
    "-1e-308",
    "1e131071",
    "NaN",
    "Infinity",
    "-inf",
    "null",
    "infinity",
    "epoch",
    "now",
    "BC",
    "24:60:60",
    "\u{0}",
    "\u{1f600}",
];

/// Seeded chance.
pub struct Mutator(u64);

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator((seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % n.max(1) as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Some changes, often one. `other` is an input of the same kind that parts may come from.
    pub fn bytes(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) * self.below(2) {
            self.change(bytes, other);
        }
    }

    /// The same for text.
    pub fn text(&mut self, text: &str, other: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) * self.below(2) {
            match self.below(3) {
                0 => {
                    let at = self.below(bytes.len() + 1);
                    let word = self.pick(&WORDS).bytes();
                    bytes.splice(at..at, word);
                }
                1 => {
                    // A word many times over: depth, and length.
                    let at = self.below(bytes.len() + 1);
                    let (word, times) = (*self.pick(&WORDS), 1 << self.below(11));
                    bytes.splice(at..at, word.repeat(times).bytes());
                }
                _ => self.change(&mut bytes, other.as_bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let len = bytes.len();
        let from = self.below(len + 1);
        let to = from + self.below((len - from).min(64) + 1);
        match self.below(8) {
            0 if len > 0 => bytes[from.min(len - 1)] ^= 1 << self.below(8),
            1 if len > 0 => bytes[from.min(len - 1)] = self.below(256) as u8,
            2 => drop(bytes.drain(from..to)),
            3 => {
                let again = bytes[from..to].to_vec();
                bytes.splice(from..from, again);
            }
            4 => bytes.truncate(from),
            5 => {
                let at = self.below(other.len() + 1);
                let end = at + self.below(other.len() - at + 1);
                bytes.splice(from..to, other[at..end].iter().copied());
            }
            _ => self.number(bytes, from),
        }
    }

    /// Puts a number in the place of another.
    fn number(&mut self, bytes: &mut [u8], at: usize) {
        let width = *self.pick(&[1, 2, 4, 8]);
        let mut n = *self.pick(&NUMBERS);
        if self.below(3) == 0 {
            n = n.wrapping_add(self.below(5) as u64).wrapping_sub(2);
        }
        let (little, big) = (n.to_le_bytes(), n.to_be_bytes());
        let number = if self.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
        for (place, byte) in bytes.iter_mut().skip(at).zip(number) {
            *place = *byte;
        }
    }
}

/// How often a target is tried: `VICINITY_FUZZ` times as often as usual.
pub fn rounds(usual: u64) -> u64 {
    let times = std::env::var("VICINITY_FUZZ").ok().and_then(|n| n.parse::<u64>().ok());
    usual * times.unwrap_or(1)
}
