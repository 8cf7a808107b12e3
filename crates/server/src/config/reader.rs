//! Reads keys out of the merged sources and remembers every fault: the key, its place, and what is allowed.

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::setting::Setting;
use super::{ConfigError, Key};

pub(super) struct Reader {
    figment: Figment,
    faults: Vec<String>,
    notes: Vec<String>,
}

/// A text and where it stands.
struct Found {
    text: String,
    place: String,
}

impl Reader {
    pub(super) fn new(figment: Figment) -> Self {
        Self { figment, faults: Vec::new(), notes: Vec::new() }
    }

    /// The key's value, its default, or nothing after a fault was noted.
    pub(super) fn read<T: Setting>(&mut self, key: &Key) -> Option<T> {
        let found = self.find(&key.path(), key.name);
        let from_file = if key.secret { self.find_in_file(key) } else { Ok(None) };
        let found = match (found, from_file) {
            (Err(fault), _) | (_, Err(fault)) => return self.fault(fault),
            (Ok(Some(one)), Ok(Some(other))) => {
                return self.fault(format!("{}: set in {} and as a file in {}; only one of both is allowed", key.name, one.place, other.place));
            }
            (Ok(one), Ok(other)) => one.or(other),
        };
        let Some(Found { text, place }) = found else {
            return if key.default.is_empty() { T::absent() } else { T::parse(key.default) };
        };
        let value = T::parse(text.trim());
        if value.is_none() {
            let shown = if key.secret { "the value".to_owned() } else { format!("{:?}", shorten(&text)) };
            return self.fault(format!("{}: {shown} (from {place}) is not allowed; allowed: {}", key.name, key.allowed));
        }
        value
    }

    fn fault<T>(&mut self, fault: String) -> Option<T> {
        self.faults.push(fault);
        None
    }

    fn find(&self, path: &str, name: &str) -> Result<Option<Found>, String> {
        let value = match self.figment.find_value(path) {
            Ok(value) => value,
            Err(error) if error.missing() => return Ok(None),
            // The file itself cannot be read: say it once, in its own words.
            Err(error) => return Err(error.to_string()),
        };
        let place = self.place(&value);
        let text = match &value {
            Value::String(_, text) => text.clone(),
            Value::Bool(_, flag) => flag.to_string(),
            Value::Num(_, number) => number
                .to_u128()
                .map_or_else(|| number.to_i128().map_or_else(|| number.to_f64().unwrap_or(f64::NAN).to_string(), |n| n.to_string()), |n| n.to_string()),
            _ => return Err(format!("{name} (from {place}): a list or a table is not allowed here")),
        };
        Ok(Some(Found { text, place }).filter(|found| !found.text.trim().is_empty()))
    }

    fn find_in_file(&self, key: &Key) -> Result<Option<Found>, String> {
        let name = format!("{}_FILE", key.name);
        let Some(Found { text: path, place }) = self.find(&format!("{}_file", key.path()), &name)? else { return Ok(None) };
        match std::fs::read_to_string(path.trim()) {
            Ok(text) if text.trim().is_empty() => Err(format!("{name} (from {place}): the file {path} is empty")),
            Ok(text) => Ok(Some(Found { text: text.trim_end_matches(['\r', '\n']).to_owned(), place: format!("the file {path}") })),
            Err(error) => Err(format!("{name} (from {place}): the file {path} cannot be read: {error}")),
        }
    }

    fn place(&self, value: &Value) -> String {
        let Some(metadata) = self.figment.get_metadata(value.tag()) else { return "an unknown place".to_owned() };
        match metadata.source.as_ref().and_then(|source| source.file_path()) {
            Some(path) => path.display().to_string(),
            None => metadata.name.clone().into_owned(),
        }
    }

    /// A key that nobody reads is most likely misspelt: a fault in `emcrm.toml`, which is ours alone; a note elsewhere.
    pub(super) fn check_unknown(&mut self, sections: &[(&str, &[Key])]) {
        let known: Vec<(String, String, bool)> = sections
            .iter()
            .flat_map(|(_, keys)| *keys)
            .map(|key| {
                let (section, name) = key.in_toml();
                (section, name, key.secret)
            })
            .collect();
        // A file that cannot be read was reported by the first key that was looked up.
        let Ok(all) = self.figment.data() else { return };
        let all = all.into_iter().filter(|(profile, _)| *profile == Profile::Default).flat_map(|(_, sections)| sections).collect::<Dict>();
        for (section, value) in &all {
            let place = self.place(value);
            let Value::Dict(_, keys) = value else {
                self.faults.push(format!("{section} (from {place}): there is no such section; a key stands under its section, such as [app]"));
                continue;
            };
            if !known.iter().any(|(have, ..)| have == section) {
                self.faults.push(format!("[{section}] (from {place}): there is no such section"));
                continue;
            }
            for (key, value) in keys {
                let found = known.iter().any(|(s, k, secret)| s == section && (k == key || (*secret && key.strip_suffix("_file") == Some(k))));
                if found {
                    continue;
                }
                let place = self.place(value);
                let name = format!("{}_{}", section.to_uppercase(), key.to_uppercase());
                if place == ".env" || place == "the environment" {
                    self.notes.push(format!("{name} (from {place}) is not a setting of this program and is ignored"));
                } else {
                    self.faults.push(format!("{key} under [{section}] (from {place}): there is no such key"));
                }
            }
        }
    }

    /// The notes, or every fault.
    pub(super) fn finish(mut self) -> Result<Vec<String>, ConfigError> {
        self.faults.dedup();
        if self.faults.is_empty() { Ok(self.notes) } else { Err(ConfigError(self.faults)) }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}
