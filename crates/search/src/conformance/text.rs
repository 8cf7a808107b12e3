//! Rules about free text.

use super::{Dyn, any_of, found, looking_for, put, user};
use crate::Field;

async fn people(index: &Dyn) {
    put(
        index,
        [
            user("1").text("Zoë Müller").text("zoe@example.org").text("Acme Inc."),
            user("2").text("Ann O'Neil").text("ann.oneil@example.com").text("Acme Labs").with(Field::City, "Oslo"),
            user("3").text("Anna Smith-Jones").text("anna+list@mail.example.net").with(Field::City, "Oslo"),
            user("4").text("山田 太郎").text("東京都庁").text("taro@例え.jp"),
            user("5").text("Søren Łukasz Straße"),
        ],
    )
    .await;
}

pub async fn every_word_occurs_and_the_last_one_begins_a_word(index: Dyn) {
    people(&index).await;
    for (text, ids) in [
        ("ann", vec!["2", "3"]),
        ("a", vec!["1", "2", "3"]),
        ("an", vec!["2", "3"]),
        ("anna", vec!["3"]),
        ("ann o", vec!["2"]),
        ("acme a", vec!["1", "2"]),
        ("ann acme", vec!["2"]),
        ("acme ann", vec!["2"]),
        ("acm ann", vec![]),
        ("acme lab", vec!["2"]),
        ("lab acme", vec![]),
        ("nna", vec![]),
        ("exampl", vec!["1", "2", "3"]),
        ("smith-jon", vec!["3"]),
        ("  anna   smith ", vec!["3"]),
        ("ann ann", vec!["2"]),
    ] {
        assert_eq!(found(&index, looking_for(text)).await, ids, "{text:?}");
    }
}

pub async fn accents_and_case_do_not_matter(index: Dyn) {
    people(&index).await;
    for text in ["zoe", "ZOË", "zoë müller", "Zoe Muller", "Zoe\u{308} mu", "ＺＯＥ"] {
        assert_eq!(found(&index, looking_for(text)).await, ["1"], "{text:?}");
    }
    for text in ["soren", "Søren", "lukasz", "strasse", "STRASSE"] {
        assert_eq!(found(&index, looking_for(text)).await, ["5"], "{text:?}");
    }
}

pub async fn an_address_is_found_by_its_parts(index: Dyn) {
    people(&index).await;
    for (text, ids) in [
        ("ann.oneil@example.com", vec!["2"]),
        ("ann@example.com", vec!["2"]),
        ("example.com", vec!["2"]),
        ("oneil", vec!["2"]),
        ("@example", vec!["1", "2", "3"]),
        ("anna+list@mail.example.net", vec!["3"]),
        ("list", vec!["3"]),
        ("zoe@example.com", vec![]),
    ] {
        assert_eq!(found(&index, looking_for(text)).await, ids, "{text:?}");
    }
}

pub async fn scripts_without_spaces_are_found(index: Dyn) {
    people(&index).await;
    for text in ["山田", "太郎", "東京", "都庁", "例え", "山田 東京"] {
        assert_eq!(found(&index, looking_for(text)).await, ["4"], "{text:?}");
    }
    assert_eq!(found(&index, looking_for("山本")).await, [""; 0]);
}

pub async fn text_without_words_finds_everything(index: Dyn) {
    people(&index).await;
    for text in ["", " ", "\t\n", "***", "\"\"", "--", "😀"] {
        assert_eq!(found(&index, looking_for(text)).await.len(), 5, "{text:?}");
    }
}

pub async fn hostile_text_is_only_text(index: Dyn) {
    people(&index).await;
    put(&index, [user("6").text("to be AND not OR city:oslo")]).await;
    assert_eq!(found(&index, looking_for("and not or")).await, ["6"], "operators are words");
    assert_eq!(found(&index, looking_for("city:oslo")).await, ["6"], "a colon separates words");
    assert_eq!(found(&index, looking_for("NOT ann")).await, [""; 0]);
    assert_eq!(found(&index, looking_for("\"ann")).await, ["2", "3"], "punctuation is no syntax");
    let long = "x".repeat(100_000);
    let many = (0..5_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
    let repeated = "acme ".repeat(5_000);
    for text in [
        "*",
        "a*",
        "?",
        "ann~2",
        "(ann",
        "ann)",
        "[a TO z]",
        "{",
        "\\",
        "\\\\\"",
        "AND",
        "OR",
        "NOT",
        "a AND",
        "field:",
        "_id:1",
        "a^b",
        "+-=&&||><!(){}[]^\"~*?:\\/",
        "\0",
        "\u{feff}",
        "👩‍👩‍👧‍👦 ann",
        "\u{202e}ann",
        "%_'; DROP TABLE",
        "<script>",
        "\u{301}\u{301}",
        &long,
        &many,
    ] {
        let ids = found(&index, looking_for(text)).await;
        assert!(ids.len() <= 6, "{text:?}");
    }
    assert_eq!(found(&index, looking_for(&repeated)).await, ["1", "2"]);
    put(&index, [user("7").text(&long).text(&many).text("\0\u{202e}")]).await;
    assert_eq!(found(&index, looking_for(&many)).await, ["7"]);
    assert_eq!(found(&index, looking_for("w4999 w1")).await, ["7"]);
    assert_eq!(found(&index, looking_for(&long)).await, ["7"]);
}

pub async fn text_and_conditions_hold_together(index: Dyn) {
    people(&index).await;
    let mut conditions = any_of(Field::City, &["oslo"]);
    conditions.text = Some("acme".to_owned());
    assert_eq!(found(&index, conditions.clone()).await, ["2"]);
    conditions.text = Some("zoe".to_owned());
    assert_eq!(found(&index, conditions).await, [""; 0]);
}
