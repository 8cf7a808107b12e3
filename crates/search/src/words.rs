//! What a word is to free text. The same for what is indexed and for what is looked for, so it is done once, here.

use tantivy::tokenizer::{AsciiFoldingFilter, TextAnalyzer, WhitespaceTokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest word, in bytes after folding; what is longer is cut, on both sides alike.
const WORD_MAX: usize = 120;
/// Beginnings of up to so many characters are indexed themselves: too many words begin with them to be looked up one by one.
pub const SHORT_MAX: usize = 3;

/// The words of a text, in order: lower-case, without accents. Everything that is neither a letter nor a digit separates, so an e-mail
/// address gives its parts. Scripts without spaces (Han, kana) give a word for each character.
pub fn words(text: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(text.len() + 8);
    for c in text.nfkc().flat_map(char::to_lowercase).nfkc() {
        if is_combining_mark(c) {
            continue;
        }
        if is_spaceless(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(if c.is_alphanumeric() { c } else { ' ' });
        }
    }
    let mut analyzer = TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(AsciiFoldingFilter).build();
    let mut stream = analyzer.token_stream(&spaced);
    let mut words = Vec::new();
    while stream.advance() {
        let mut word = stream.token().text.clone();
        word.truncate(word.floor_char_boundary(WORD_MAX));
        words.push(word);
    }
    words
}

/// Whether the beginning of a word is short enough to be indexed itself.
pub fn is_short(word: &str) -> bool {
    word.chars().count() <= SHORT_MAX
}

/// The indexed beginnings of a word: its first 1, 2, … [`SHORT_MAX`] characters.
pub fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    word.char_indices().take(SHORT_MAX).filter_map(|(at, c)| word.get(..at + c.len_utf8()))
}

/// Characters that are words by themselves: Han, kana, Bopomofo and their extensions.
fn is_spaceless(c: char) -> bool {
    matches!(u32::from(c), 0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3040..=0x312F | 0x31A0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}
