//! HTML as the pieces that it is written in. Nothing is nested, moved or mended here, as whoever builds a document from it does.

use std::cell::{Cell, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Within {
    /// What is read.
    #[default]
    Page,
    /// A title or a field: text without elements.
    Title,
    /// What is no text at all, by the name of its element.
    Code(&'static str),
}

#[derive(Debug)]
pub(super) enum Piece {
    Open(Tag),
    Close(Tag),
    /// Character references are resolved.
    Text(StrTendril, Within),
    Comment(StrTendril),
}

/// The pieces of a page, in the order in which they are written.
pub(super) fn pieces(html: &str) -> Vec<Piece> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    let tokenizer = Tokenizer::new(Pieces::default(), TokenizerOpts::default());
    // It stops for scripts that are to be run only, and none is.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.found.take()
}

#[derive(Default)]
struct Pieces {
    found: RefCell<Vec<Piece>>,
    within: Cell<Within>,
}

impl TokenSink for Pieces {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let piece = match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                let raw = raw(&tag.name);
                self.within.set(raw.map_or(Within::Page, |(_, within)| within));
                self.found.borrow_mut().push(Piece::Open(tag));
                return raw.map_or(TokenSinkResult::Continue, |(kind, _)| TokenSinkResult::RawData(kind));
            }
            Token::TagToken(tag) => {
                self.within.set(Within::Page);
                Piece::Close(tag)
            }
            Token::CharacterTokens(text) => Piece::Text(text, self.within.get()),
            Token::CommentToken(text) => Piece::Comment(text),
            _ => return TokenSinkResult::Continue,
        };
        self.found.borrow_mut().push(piece);
        TokenSinkResult::Continue
    }
}

/// Elements that hold text alone (HTML, section 13.2.6.4). Programs that show mails run no scripts, so `noscript` is none of them.
fn raw(name: &str) -> Option<(RawKind, Within)> {
    Some(match name {
        "title" | "textarea" => (RawKind::Rcdata, Within::Title),
        "script" => (RawKind::ScriptData, Within::Code("<script>")),
        "style" => (RawKind::Rawtext, Within::Code("<style>")),
        "iframe" => (RawKind::Rawtext, Within::Code("<iframe>")),
        "noembed" => (RawKind::Rawtext, Within::Code("<noembed>")),
        "noframes" => (RawKind::Rawtext, Within::Code("<noframes>")),
        "xmp" => (RawKind::Rawtext, Within::Code("<xmp>")),
        _ => return None,
    })
}
