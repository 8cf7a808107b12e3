//! The text part of a mail that is written in HTML. The page is followed from its beginning to its end, and each tag is written where it stands, so what a condition
//! holds for in the page it holds for in the text. Tables are lines, links are a text with the address behind it.

use super::marks::{Kind, Marks};
use super::markup::{Piece, Within, pieces};
use super::page::Page;

/// Width of lines, as mail programs expect it (RFC 5322 2.1.1 recommends 78).
const WIDTH: usize = 76;

/// What is filled in for the text part.
pub(super) fn text_of(page: &Page<'_>) -> String {
    let marks = page.marks();
    let mut writer = Writer {
        marks,
        out: String::new(),
        gap: Gap::Blank,
        wanted: Gap::None,
        column: 0,
        branches: Vec::new(),
        links: Vec::new(),
        lists: Vec::new(),
        kept: 0,
    };
    for piece in pieces(marks.marked()) {
        match piece {
            Piece::Text(text, Within::Page) => writer.text(&text),
            Piece::Open(tag) => {
                writer.open(&tag.name, &|name: &str| tag.attrs.iter().find(|attr| &*attr.name.local == name).map(|attr| attr.value.to_string()));
            }
            Piece::Close(tag) => writer.close(&tag.name),
            Piece::Text(..) | Piece::Comment(_) => {}
        }
    }
    writer.end_links(0);
    let mut out = writer.out;
    out.truncate(out.trim_end().len());
    out.push('\n');
    marks.filled(&out)
}

/// White space between words, from the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
    Blank,
}

/// What is known about a condition that has begun.
struct Branch {
    /// The gap before it.
    before: Gap,
    /// The weakest gap at the end of the branches so far.
    after: Gap,
    /// There is one for everybody.
    otherwise: bool,
    /// Links that were open before it.
    links: usize,
}

/// A link that is open.
struct Link {
    address: String,
    /// Where its words begin.
    from: usize,
}

struct Writer<'a> {
    marks: &'a Marks,
    /// With the characters of tags.
    out: String,
    /// What stands at the end of it at least, whichever conditions hold.
    gap: Gap,
    /// What has to stand before the next word.
    wanted: Gap,
    column: usize,
    branches: Vec<Branch>,
    links: Vec<Link>,
    /// The number of the last entry; none where entries have no number.
    lists: Vec<Option<usize>>,
    /// Elements around here that keep white space.
    kept: usize,
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{a0}'
}

impl Writer<'_> {
    fn want(&mut self, gap: Gap) {
        self.wanted = self.wanted.max(gap);
    }

    /// Writes the gap that is wanted, where there is less. `width`: of the word that follows.
    fn flush(&mut self, width: usize) {
        let mut wanted = std::mem::replace(&mut self.wanted, Gap::None);
        if wanted <= self.gap {
            return;
        }
        if wanted == Gap::Space && self.kept == 0 && self.column > 0 && self.column + 1 + width > WIDTH {
            wanted = Gap::Line;
        }
        self.out.push_str(match wanted {
            Gap::None => "",
            Gap::Space => " ",
            Gap::Blank if self.gap < Gap::Line => "\n\n",
            Gap::Line | Gap::Blank => "\n",
        });
        self.column = if wanted == Gap::Space { self.column + 1 } else { 0 };
        self.gap = wanted;
    }

    fn word(&mut self, word: &str) {
        let width = word.chars().count();
        self.flush(width);
        self.out.push_str(word);
        self.column = word.rsplit_once('\n').map_or(self.column + width, |(_, last)| last.chars().count());
        self.gap = if word.ends_with('\n') { Gap::Line } else { Gap::None };
    }

    fn text(&mut self, text: &str) {
        let (kept, marks) = (self.kept > 0, self.marks);
        let ends = |c: char| (!kept && is_space(c)) || marks.statement(c).is_some();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = if ends(first) { first.len_utf8() } else { rest.find(ends).unwrap_or(rest.len()) };
            let (word, after) = rest.split_at(end);
            match marks.statement(first) {
                Some(kind) => self.statement(first, kind),
                None if !kept && is_space(first) => self.want(Gap::Space),
                None => self.word(word),
            }
            rest = after;
        }
    }

    /// A condition begins, goes on or ends. The white space before it is written first, so that it is there for everybody; what is known of it afterwards is what all ways
    /// to here have in common.
    fn statement(&mut self, mark: char, kind: Kind) {
        if matches!(kind, Kind::Elif | Kind::Else | Kind::Endif) {
            // A link that only some have is theirs alone.
            let open = self.links.len();
            self.end_links(self.branches.last().map_or(0, |branch| branch.links));
            if self.links.len() < open {
                self.want(Gap::Space);
            }
        }
        self.flush(0);
        match kind {
            Kind::If => self.branches.push(Branch { before: self.gap, after: Gap::Blank, otherwise: false, links: self.links.len() }),
            Kind::Elif | Kind::Else => {
                if let Some(branch) = self.branches.last_mut() {
                    branch.after = branch.after.min(self.gap);
                    branch.otherwise |= kind == Kind::Else;
                    self.gap = branch.before;
                }
            }
            Kind::Endif => {
                if let Some(branch) = self.branches.pop() {
                    let without = if branch.otherwise { Gap::Blank } else { branch.before };
                    self.gap = self.gap.min(branch.after).min(without);
                }
            }
            Kind::Value | Kind::Other => {}
        }
        self.out.push(mark);
    }

    fn open(&mut self, name: &str, attribute: &dyn Fn(&str) -> Option<String>) {
        self.around(name);
        match name {
            "br" => self.wanted = if self.wanted >= Gap::Line { Gap::Blank } else { Gap::Line },
            "a" => {
                self.end_links(self.branches.last().map_or(0, |branch| branch.links));
                let address = attribute("href").map(|address| address.trim().to_owned()).unwrap_or_default();
                if !address.is_empty() && !address.starts_with('#') {
                    self.links.push(Link { address, from: self.out.len() });
                }
            }
            "img" => {
                if let Some(words) = attribute("alt").filter(|words| !words.trim().is_empty()) {
                    self.word(&format!("[{}]", words.trim()));
                }
            }
            "ul" => self.lists.push(None),
            "ol" => self.lists.push(Some(0)),
            "li" => self.entry(),
            "pre" => self.kept += 1,
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "a" => {
                // It ends where it began: not for some of those who have it.
                let outside = self.branches.last().map_or(0, |branch| branch.links);
                if self.links.len() > outside {
                    self.end_links(self.links.len() - 1);
                }
            }
            "ul" | "ol" => {
                self.lists.pop();
            }
            "pre" => self.kept = self.kept.saturating_sub(1),
            _ => {}
        }
        self.around(name);
    }

    /// The gap before and after an element.
    fn around(&mut self, name: &str) {
        self.want(match name {
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "pre" | "hr" | "dl" => Gap::Blank,
            "ul" | "ol" if self.lists.is_empty() => Gap::Blank,
            "ul" | "ol" | "li" | "dt" | "dd" | "div" | "table" | "tr" | "caption" | "section" | "article" | "header" | "footer" | "main" | "nav" | "aside"
            | "figure" | "figcaption" | "address" | "center" | "form" | "fieldset" | "legend" | "option" | "body" => Gap::Line,
            "td" | "th" => Gap::Space,
            _ => Gap::None,
        });
    }

    fn entry(&mut self) {
        let depth = self.lists.len().saturating_sub(1);
        let sign = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{number}. ")
            }
            _ => "* ".to_owned(),
        };
        self.word(&format!("{}{sign}", "  ".repeat(depth)));
        // Its words follow in the same line, whatever element they stand in.
        self.gap = Gap::Blank;
    }

    /// Writes the addresses of all open links but the first ones.
    fn end_links(&mut self, but: usize) {
        while self.links.len() > but {
            let Some(Link { address, from }) = self.links.pop() else { return };
            let words = self.out.get(from..).unwrap_or_default().trim();
            let said = [address.as_str(), address.trim_start_matches("mailto:"), address.trim_start_matches("tel:")].contains(&words);
            if said && !words.is_empty() {
                continue;
            }
            // In the line of its words, although they may be a paragraph.
            let after = std::mem::replace(&mut self.wanted, Gap::Space);
            self.word(&format!("<{address}>"));
            self.want(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        let marks = Marks::of(html).unwrap();
        text_of(&Page::of(&marks).unwrap())
    }

    #[test]
    fn a_page_becomes_lines() {
        for (html, expected) in [
            (
                "<title>T</title><style>p{}</style><h1>Hello</h1>\n<p>One\n two&nbsp;&amp; three</p><div>four</div><div>five</div>",
                "Hello\n\nOne two & three\n\nfour\nfive\n",
            ),
            ("a<br>b<br><br>c", "a\nb\n\nc\n"),
            ("<ul><li>one<li><p>two</p><ol><li>x<li>y</ol></ul>z", "* one\n* two\n\n  1. x\n  2. y\n\nz\n"),
            ("<table><tr><td>Price</td><td>10 EUR</td></tr><tr><td>Place</td><td>Hall</td></tr></table>", "Price 10 EUR\nPlace Hall\n"),
            ("<pre>a\n  b</pre>c", "a\n  b\n\nc\n"),
            ("<p>See <a href=\"https://a.example/?x=1&amp;y=2\">this</a>.</p>", "See this <https://a.example/?x=1&y=2>.\n"),
            (
                "<a href='https://a.example'>https://a.example</a>, <a href='mailto:x@y.example'>x@y.example</a>, <a href='#top'>up</a>",
                "https://a.example, x@y.example, up\n",
            ),
            ("<a href='https://a.example'><img src='x.png' alt='Our logo'></a><img src='y.png'>", "[Our logo] <https://a.example>\n"),
            ("<a href='https://a.example'><p>Go</p></a><p>on</p>", "Go <https://a.example>\n\non\n"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
        let long = format!("<p>{}</p>", "word ".repeat(40));
        assert!(text(&long).lines().all(|line| line.len() <= WIDTH) && text(&long).lines().count() == 3, "{}", text(&long));
    }

    #[test]
    fn what_only_looks_like_a_tag_once_it_is_converted_is_a_text() {
        assert_eq!(
            text("&#123;&#123; user.email }} {<b>% x %}</b> {<i>{{ user.city }}</i>}"),
            "{{ \"{\" }}{ user.email }} {{ \"{\" }}% x %} {{ \"{\" }}{{ user.city }}}\n"
        );
    }

    #[test]
    fn white_space_is_there_for_everybody_who_needs_it() {
        for (html, expected) in [
            ("<p>a</p>{% if x %}<p>b</p>{% endif %}<p>c</p>", "a\n\n{% if x %}b\n\n{% endif %}c\n"),
            ("x{% if x %}<p>a</p>{% else %}<p>b</p>{% endif %}y", "x{% if x %}\n\na\n\n{% else %}\n\nb\n\n{% endif %}y\n"),
            ("<p>x</p>{% if x %}a{% else %}b{% endif %}", "x\n\n{% if x %}a{% else %}b{% endif %}\n"),
            ("a {% if x %}b {% endif %}c", "a {% if x %}b {% endif %}c\n"),
            ("a{% if x %} {% endif %} c", "a{% if x %} {% endif %} c\n"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn a_link_that_only_some_have_is_written_for_them_alone() {
        assert_eq!(
            text("{% if x %}<a href='https://a.example'>{% else %}<a href='https://b.example'>{% endif %}Go</a> now"),
            "{% if x %}<https://a.example> {% else %}<https://b.example> {% endif %}Go now\n"
        );
        assert_eq!(text("<a href='https://a.example'>Go{% if x %}</a>{% endif %} on"), "Go{% if x %}{% endif %} on <https://a.example>\n");
    }
}
