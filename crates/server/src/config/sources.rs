//! The sources as figment providers. `.env` and the environment give texts by flat names; figment keeps who said what.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{ConfigError, SECTIONS, Sources, dotenv};

/// Pairs of flat names and texts.
struct Flat {
    place: &'static str,
    pairs: Vec<(String, String)>,
}

impl Provider for Flat {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut sections = Dict::new();
        for (name, text) in &self.pairs {
            let Some((section, key)) = name.split_once('_') else { continue };
            let section = section.to_lowercase();
            // An empty value is the usual way to say "not set" in deployments; other programs' variables are none of our business.
            if text.trim().is_empty() || !is_section(&section) {
                continue;
            }
            let entry = sections.entry(section).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, keys) = entry {
                keys.insert(key.to_lowercase(), Value::from(text.as_str()));
            }
        }
        Ok(Map::from([(Profile::Default, sections)]))
    }
}

fn is_section(section: &str) -> bool {
    SECTIONS.iter().flat_map(|(_, keys)| *keys).any(|key| key.in_toml().0 == section)
}

pub(super) fn figment(sources: &Sources) -> Result<Figment, ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = &sources.toml {
        if sources.toml_required && !path.is_file() {
            return Err(ConfigError(vec![format!("{}: this file is not there", path.display())]));
        }
        if path.is_file() {
            let toml = Toml::file_exact(path);
            toml.data().map_err(|error| ConfigError(vec![format!("{}: cannot be read: {error}", path.display())]))?;
            figment = figment.merge(toml);
        }
    }
    if let Some(path) = &sources.dotenv {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let pairs =
                    dotenv::parse(&text).map_err(|line| ConfigError(vec![format!("{}, line {line}: cannot be read; a line is NAME=value", path.display())]))?;
                figment = figment.merge(Flat { place: ".env", pairs });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ConfigError(vec![format!("{}: cannot be read: {error}", path.display())])),
        }
    }
    Ok(figment.merge(Flat { place: "the environment", pairs: sources.environment.clone() }))
}
