//! The configuration: where values come from, what is refused, and that the documentation tells the truth.

use std::path::Path;

use emcrm_server::config::{Config, DbEngine, LogFormat, SECTIONS, SearchEngine, Sources};

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources { environment: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), ..Sources::default() }
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn load(pairs: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(&environment(pairs)).map_err(|error| error.to_string())
}

fn faults(pairs: &[(&str, &str)]) -> String {
    load(pairs).unwrap_err()
}

#[test]
fn later_sources_win() {
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("emcrm.toml");
    let dotenv = folder.path().join(".env");
    std::fs::write(&toml, "[app]\nname = \"toml\"\napi_port = 1\nlog_level = \"warn\"\n").unwrap();
    std::fs::write(&dotenv, "APP_NAME=dotenv\nAPP_API_PORT=2\n").unwrap();
    let sources = Sources { toml: Some(toml), dotenv: Some(dotenv), ..environment(&[("APP_NAME", "environment")]) };
    let config = Config::load(&sources).unwrap();
    assert_eq!((config.app.name.as_str(), config.app.api_port, config.app.log_level.0.as_str()), ("environment", 2, "warn"));
    assert_eq!(config.db.main_table_name, "crm_data");
}

#[test]
fn a_wrong_value_names_the_key_its_place_and_what_is_allowed() {
    assert_eq!(faults(&[("APP_API_PORT", "eighty")]), "APP_API_PORT: \"eighty\" (from the environment) is not allowed; allowed: a port, 0 to 65535");
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("emcrm.toml");
    std::fs::write(&toml, "[db]\nengine = \"oracle\"\n").unwrap();
    let error = Config::load(&Sources { toml: Some(toml.clone()), ..Sources::default() }).unwrap_err().to_string();
    assert_eq!(error, format!("DB_ENGINE: \"oracle\" (from {}) is not allowed; allowed: sqlite, dynamodb", toml.display()));
}

#[test]
fn all_faults_are_reported_at_once() {
    let error = faults(&[("APP_API_PORT", "x"), ("APP_DEBUG", "perhaps"), ("MAIL_FROM", "nobody"), ("APP_TIMEZONE", "Mars/Base")]);
    assert_eq!(error.lines().count(), 4, "{error}");
}

#[test]
fn a_misspelt_key_is_a_fault_in_the_file_and_a_note_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("emcrm.toml");
    for text in ["[app]\napi_prot = 1\n", "[ap]\nname = \"x\"\n", "name = \"x\"\n", "[app]\nname = [1]\n", "[app\n"] {
        std::fs::write(&toml, text).unwrap();
        let error = Config::load(&Sources { toml: Some(toml.clone()), ..Sources::default() }).unwrap_err().to_string();
        assert!(error.contains("emcrm.toml") && error.lines().count() < 10, "{text}: {error}");
    }
    let config = load(&[("APP_API_PROT", "1"), ("HOME", "/root"), ("PATH", "x")]).unwrap();
    assert_eq!(config.notes, ["APP_API_PROT (from the environment) is not a setting of this program and is ignored"]);
}

#[test]
fn values_are_taken_as_texts_whatever_they_look_like() {
    let config =
        load(&[("OPENSEARCH_PASSWORD", "12345"), ("APP_NAME", "true"), ("AUTH_COGNITO_CLIENT_ID", "[1,2]"), ("APP_DEBUG", "1"), ("DB_READ_TIMEOUT", "2.5")])
            .unwrap();
    assert_eq!(config.opensearch.password.unwrap().reveal(), "12345");
    assert_eq!((config.app.name.as_str(), config.app.debug, config.db.read_timeout.0.as_millis()), ("true", true, 2500));
    assert_eq!(config.auth.cognito_client_id.as_deref(), Some("[1,2]"));
}

#[test]
fn an_empty_value_is_none() {
    let config = load(&[("DB_DYNAMODB_ENDPOINT", ""), ("APP_API_PORT", " "), ("APP_SECRET_KEY", "")]).unwrap();
    assert!(config.db.dynamodb_endpoint.is_none() && config.app.api_port == 8080);
}

#[test]
fn secrets_can_be_files_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let secret = "0123456789abcdef0123456789abcdef-topsecret";
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let path = file.to_str().unwrap();
    let config = load(&[("APP_SECRET_KEY_FILE", path), ("MAIL_SMTP_URL", "smtps://me:topsecret@mail.example.org")]).unwrap();
    assert_eq!(config.app.secret_key.as_ref().unwrap().reveal(), secret);
    assert!(!format!("{config:?}").contains("topsecret"));
    for pairs in [
        vec![("APP_SECRET_KEY_FILE", path), ("APP_SECRET_KEY", secret)],
        vec![("APP_SECRET_KEY_FILE", "/nowhere/key")],
        vec![("APP_SECRET_KEY", "topsecret")],
        vec![("MAIL_TRANSPORT", "smtp"), ("MAIL_SMTP_URL", "https://me:topsecret@mail.example.org")],
        vec![("MAIL_TRANSPORT", "smtp"), ("MAIL_SMTP_URL", "smtp://me:topsecret@mail.example.org?tls=none")],
    ] {
        let error = faults(&pairs);
        assert!(!error.contains("topsecret"), "{error}");
    }
}

#[test]
fn engines_follow_from_what_is_set() {
    let config = load(&[]).unwrap();
    assert_eq!((config.storage().engine, config.search_engine().engine), (DbEngine::Sqlite, SearchEngine::Tantivy));
    // An existing deployment's settings choose the engines of that deployment.
    for (pairs, because) in [
        (vec![("DB_DYNAMODB_ENDPOINT", "http://127.0.0.1:8000")], "DB_DYNAMODB_ENDPOINT is set"),
        (vec![("APP_PRODUCTION", "true"), ("APP_SECRET_KEY", SECRET)], "APP_PRODUCTION is true"),
        (vec![("DB_ENGINE", "dynamodb")], "DB_ENGINE says so"),
    ] {
        let storage = load(&pairs).unwrap().storage();
        assert_eq!((storage.engine, storage.because), (DbEngine::Dynamodb, because));
    }
    for (pairs, because, endpoint) in [
        (vec![("OPENSEARCH_HOST", "search.example.org")], "OPENSEARCH_HOST is set", "http://search.example.org:9200"),
        (vec![("OPENSEARCH_HOST", "search.example.org"), ("OPENSEARCH_USE_SSL", "true")], "OPENSEARCH_HOST is set", "https://search.example.org:9200"),
        (vec![("OPENSEARCH_HOST", "search.example.org"), ("OPENSEARCH_MODE", "cloud")], "OPENSEARCH_HOST is set", "https://search.example.org"),
        (vec![("OPENSEARCH_ENDPOINT", "https://search.example.org")], "OPENSEARCH_ENDPOINT is set", "https://search.example.org"),
    ] {
        let config = load(&pairs).unwrap();
        let search = config.search_engine();
        assert_eq!((search.engine, search.because, config.opensearch_endpoint().as_deref()), (SearchEngine::Opensearch, because, Some(endpoint)));
    }
    assert!(faults(&[("SEARCH_ENGINE", "opensearch")]).contains("OPENSEARCH_ENDPOINT"));
    // Several processes, one key.
    assert!(faults(&[("APP_PRODUCTION", "true")]).contains("APP_SECRET_KEY"));
    let config = load(&[("APP_PRODUCTION", "true"), ("DB_ENGINE", "sqlite")]).unwrap();
    assert_eq!((config.storage().engine, config.log_format()), (DbEngine::Sqlite, LogFormat::Json));
}

#[test]
fn without_sign_in_only_loopback_is_listened_on_unless_told_otherwise() {
    let listen = |pairs: &[(&str, &str)]| {
        let listen = load(pairs).unwrap().listen().unwrap();
        (listen.address.to_string(), listen.note.is_some())
    };
    assert_eq!(listen(&[]), ("127.0.0.1:8080".to_owned(), false));
    assert_eq!(listen(&[("APP_API_HOST", "0.0.0.0")]), ("127.0.0.1:8080".to_owned(), true));
    assert_eq!(listen(&[("APP_API_HOST", "::")]), ("[::1]:8080".to_owned(), true));
    assert_eq!(listen(&[("APP_API_HOST", "localhost"), ("APP_API_PORT", "9")]), ("127.0.0.1:9".to_owned(), false));
    assert_eq!(listen(&[("APP_API_HOST", "0.0.0.0"), ("APP_ALLOW_UNAUTHENTICATED", "true")]), ("0.0.0.0:8080".to_owned(), false));
    assert!(faults(&[("APP_API_HOST", "crm.example.org")]).contains("APP_API_HOST"));
    // This build cannot keep anybody out, so it must not be told that it does.
    assert!(faults(&[("AUTH_ENABLED", "true")]).contains("AUTH_ENABLED"));
}

#[test]
fn a_named_file_must_be_there() {
    let sources = Sources { toml: Some("/nowhere/emcrm.toml".into()), toml_required: true, ..Sources::default() };
    assert_eq!(Config::load(&sources).unwrap_err().to_string(), "/nowhere/emcrm.toml: this file is not there");
}

/// Every key with its default, what is allowed and what it means, as the documentation must have it.
fn tables() -> String {
    let mut text = String::new();
    for (title, keys) in SECTIONS {
        text.push_str(&format!("## {title}\n\n| key | in `emcrm.toml` | default | allowed | meaning |\n|---|---|---|---|---|\n"));
        for key in *keys {
            let (section, name) = key.in_toml();
            let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
            let secret = if key.secret { " A secret: never shown; `_FILE` names a file that holds it." } else { "" };
            let allowed = if key.secret { "a text" } else { key.allowed };
            text.push_str(&format!("| `{}` | `[{section}] {name}` | {default} | {allowed} | {}{secret} |\n", key.name, key.help.trim()));
        }
        text.push('\n');
    }
    text
}

/// With `UPDATE_DOCS=1` the page is brought up to date instead.
#[test]
fn the_documentation_lists_every_key_as_it_is() {
    const START: &str = "<!-- keys: made from the code, checked by a test -->\n";
    const END: &str = "<!-- end of keys -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(START).unwrap();
    let (have, after) = rest.split_once(END).unwrap();
    let want = format!("\n{}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{START}{want}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(have, want, "run this test with UPDATE_DOCS=1 to bring docs/CONFIGURATION.md up to date");
}
