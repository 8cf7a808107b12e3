//! A body that is HTML: where tags may stand in it, and the rules of its style sheet moved into the elements.

use super::links;
use super::marks::{Kind, Marks, index_of, mark_of};
use super::markup::{Piece, Within, pieces};

/// Faults that are listed for one text.
const LISTED: usize = 10;
/// A statement while documents are built: a comment stays where it is, also between the rows of a table, from where a parser moves any text away.
const COMMENT: &str = "<!--emcrm-";

/// Where a tag stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// What is read.
    Text,
    /// A value in quotes, a title, a field.
    Value,
    /// Where a tag cannot be, in words.
    Refused(&'static str),
}

/// A body that is HTML, with tags only where what is filled in stays a text.
pub(super) struct Page<'a> {
    marks: &'a Marks,
    spots: Vec<Spot>,
}

/// A body with its style sheet in the elements.
pub(super) struct Inlined {
    pub html: String,
    /// There is a style sheet, and it could not be moved.
    pub left: bool,
}

impl<'a> Page<'a> {
    /// Every fault, as sentences. What is filled in is escaped for a text and for a value in quotes; anywhere else it could become more than that.
    pub(super) fn of(marks: &'a Marks) -> Result<Self, Vec<String>> {
        let mut places = Places { marks, spots: vec![None; marks.count()], seen: vec![0; marks.count()], foreign: false, faults: Vec::new() };
        places.look();
        let Places { spots, seen, foreign, mut faults, .. } = places;
        // Two of each were written. A character reference gives one more.
        let whole = !foreign && seen.iter().all(|count| *count <= 2);
        let spots: Vec<Spot> = spots.into_iter().map(|spot| spot.unwrap_or(Spot::Refused("where it would be lost"))).collect();
        for (n, spot) in spots.iter().enumerate() {
            if let Spot::Refused(place) = spot {
                faults.push((n, format!("a tag cannot stand {place}")));
            }
        }
        let mut faults = listed(marks, faults);
        if !whole {
            faults.push("private characters above U+F0000 cannot be used".to_owned());
        }
        if faults.is_empty() {
            faults = links::faults(marks, marks.marked());
        }
        if faults.is_empty() { Ok(Self { marks, spots }) } else { Err(faults) }
    }

    pub(super) fn marks(&self) -> &'a Marks {
        self.marks
    }

    /// Rules of a style sheet moved into the elements: many mail programs drop the sheet. Where that would change who sees what, the page stays as it is.
    pub(super) fn inlined(&self) -> Inlined {
        let source = self.marks.marked();
        let has_rules = pieces(source).iter().any(|piece| matches!(piece, Piece::Text(_, Within::Code("<style>"))));
        let moved = if has_rules { self.moved() } else { None };
        Inlined { left: has_rules && moved.is_none(), html: moved.or_else(|| self.marks.restore(source)).unwrap_or_default() }
    }

    fn moved(&self) -> Option<String> {
        let inliner = css_inline::CSSInliner::options().load_remote_stylesheets(false).keep_style_tags(true).build();
        let made = inliner.inline(&self.commented()).ok()?;
        let made = self.marks.unencoded(uncommented(&made));
        // A document is built on the way, and parts of a table that are none are moved out of it. No condition may hold for more or less than it was written around.
        let conditions = (0..self.marks.count()).any(|n| self.marks.kind(n) != Some(Kind::Value));
        if conditions && seen(&made) != seen(self.marks.marked()) {
            return None;
        }
        self.marks.restore(&made)
    }

    fn commented(&self) -> String {
        let mut html = String::with_capacity(self.marks.marked().len() * 2);
        for c in self.marks.marked().chars() {
            match index_of(c) {
                Some(n) if self.marks.statement(c).is_some() && self.spots.get(n) == Some(&Spot::Text) => {
                    html.push_str(COMMENT);
                    html.push_str(&n.to_string());
                    html.push_str("-->");
                }
                _ => html.push(c),
            }
        }
        html
    }
}

fn uncommented(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut parts = html.split(COMMENT);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        if let Some((mark, rest)) = part.split_once("-->").and_then(|(n, rest)| Some((mark_of(n.parse().ok()?)?, rest))) {
            out.push(mark);
            out.push_str(rest);
        } else {
            out.push_str(COMMENT);
            out.push_str(part);
        }
    }
    out
}

/// What is seen of a page, with the tags where they stand in it: its text without white space, and elements. Those are left out that a parser adds, repeats or moves by
/// itself, and so are all attributes.
fn seen(html: &str) -> String {
    const OWN: [&str; 24] = [
        "html", "head", "body", "link", "tbody", "colgroup", "tr", "p", "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong",
        "tt", "u", "meta", "title",
    ];
    let mut seen = String::with_capacity(html.len());
    for piece in pieces(html) {
        match piece {
            Piece::Text(_, Within::Code(_)) | Piece::Close(_) | Piece::Comment(_) => {}
            Piece::Text(text, _) => seen.extend(text.chars().filter(|c| !c.is_whitespace())),
            Piece::Open(tag) => {
                if !OWN.contains(&&*tag.name) {
                    seen.push('<');
                    seen.push_str(&tag.name);
                    seen.push('>');
                }
                let values = tag.attrs.iter().flat_map(|attr| attr.value.chars());
                seen.extend(values.filter(|c| index_of(*c).is_some()));
            }
        }
    }
    seen
}

/// Finds the place of each tag in a page in which each stands twice, with a space between: in quotes that is one value, without them it begins an attribute.
struct Places<'a> {
    marks: &'a Marks,
    spots: Vec<Option<Spot>>,
    seen: Vec<u32>,
    /// A character is there that stands for no tag.
    foreign: bool,
    /// With the tag that each is about.
    faults: Vec<(usize, String)>,
}

impl Places<'_> {
    fn look(&mut self) {
        let mut doubled = String::with_capacity(self.marks.marked().len() + self.marks.count() * 5);
        for c in self.marks.marked().chars() {
            if index_of(c).is_some() {
                doubled.extend([c, ' ']);
            }
            doubled.push(c);
        }
        self.read(&doubled, false);
    }

    /// `hidden`: within a comment, where a statement is not part of the text.
    fn read(&mut self, html: &str, hidden: bool) {
        let mut title = String::new();
        for piece in pieces(html) {
            if !matches!(piece, Piece::Text(_, Within::Title)) {
                self.balanced(&std::mem::take(&mut title));
            }
            match piece {
                Piece::Text(text, Within::Page) => self.note(&text, if hidden { Spot::Value } else { Spot::Text }),
                Piece::Text(text, Within::Title) => {
                    self.note(&text, Spot::Value);
                    title.push_str(&text);
                }
                Piece::Text(text, Within::Code(element)) => self.note(&text, Spot::Refused(element_words(element))),
                Piece::Comment(text) => match conditional(&text) {
                    Some(inner) if !hidden => {
                        self.read(inner, true);
                        self.balanced(inner);
                    }
                    _ => self.note(&text, Spot::Refused("in a comment")),
                },
                Piece::Open(tag) | Piece::Close(tag) => {
                    self.note(&tag.name, Spot::Refused("in the name of an element"));
                    for attr in &tag.attrs {
                        self.note(&attr.value, Spot::Value);
                        self.balanced(&attr.value);
                    }
                    for attr in &tag.attrs {
                        let bare = tag.attrs.iter().any(|other| attr.name.local.chars().any(|c| index_of(c).is_some() && other.value.contains(c)));
                        let place = if bare {
                            "in a value without quotes: write name=\"…\""
                        } else {
                            "between the attributes of an element: put it into a value, or around the element"
                        };
                        self.note(&attr.name.local, Spot::Refused(place));
                    }
                }
            }
        }
        self.balanced(&title);
    }

    fn note(&mut self, text: &str, spot: Spot) {
        for n in text.chars().filter_map(index_of) {
            match self.seen.get_mut(n) {
                Some(seen) => *seen += 1,
                None => self.foreign = true,
            }
            if let Some(known) = self.spots.get_mut(n)
                && !matches!(known, Some(Spot::Refused(_)))
            {
                *known = Some(spot);
            }
        }
    }

    /// Values and titles are not in the text that is made of a page, or stand at another place, so what begins in one ends in it.
    fn balanced(&mut self, text: &str) {
        let mut tags: Vec<usize> = text.chars().filter_map(index_of).collect();
        tags.dedup();
        let mut open = Vec::new();
        for n in tags {
            let fault = match self.marks.kind(n) {
                Some(Kind::If) => {
                    open.push(n);
                    false
                }
                Some(Kind::Elif | Kind::Else) => open.is_empty(),
                Some(Kind::Endif) => open.pop().is_none(),
                _ => false,
            };
            if fault {
                open.push(n);
                break;
            }
        }
        if let Some(n) = open.first() {
            self.faults.push((*n, "a condition that begins or ends in a value or a title does both there".to_owned()));
        }
    }
}

/// Faults in the order of the tags that they are about, each with its line.
pub(super) fn listed(marks: &Marks, mut faults: Vec<(usize, String)>) -> Vec<String> {
    faults.sort();
    let mut faults: Vec<String> = faults.into_iter().map(|(n, fault)| format!("line {}: {fault}", marks.line(n))).collect();
    faults.dedup();
    faults.truncate(LISTED);
    faults
}

/// What stands in a comment that Outlook reads as a part of the page: `<!--[if mso]>…<![endif]-->`.
pub(super) fn conditional(comment: &str) -> Option<&str> {
    comment.strip_prefix("[if")?.split_once("]>")?.1.strip_suffix("<![endif]")
}

fn element_words(element: &str) -> &'static str {
    match element {
        "<style>" => "in <style>: what is filled in there is no text",
        "<script>" => "in <script>: mail programs run none",
        _ => "in an element of which mail programs show nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_moves_out_of_a_table_is_noticed() {
        let mark = |n| mark_of(n).unwrap();
        let (begin, end) = (mark(0), mark(1));
        assert_ne!(seen(&format!("{begin}{end}<table><tr><td>x</td></tr></table>")), seen(&format!("<table>{begin}<tr><td>x</td></tr>{end}</table>")));
        assert_ne!(seen(&format!("<img>{begin}{end}")), seen(&format!("{begin}<img>{end}")), "what says nothing is seen too");
        assert_eq!(
            seen(&format!("<table>{begin} <tr><td>&eacute;</tr>{end}</table>")),
            seen(&format!("<table>{begin}<tbody><tr><td>é</td></tr>{end}</tbody></table>"))
        );
    }

    #[test]
    fn comments_are_marks_again_and_others_stay() {
        assert_eq!(uncommented("a<!--emcrm-1-->b<!--emcrm-x-->c<!-- d -->"), format!("a{}b<!--emcrm-x-->c<!-- d -->", mark_of(1).unwrap()));
        assert_eq!(uncommented("<!--emcrm-99999999999999999999-->"), "<!--emcrm-99999999999999999999-->");
    }
}
