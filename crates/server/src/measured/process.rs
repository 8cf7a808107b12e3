//! The process itself, and the state of campaigns: read when somebody asks for the metrics.

use std::fmt::Write as _;

use emcrm_app::App;
use emcrm_model::CampaignState;

/// Campaigns whose state is looked at, newest first: those that matter are among them, and a look stays cheap.
const CAMPAIGNS_LOOKED_AT: u32 = 200;
/// Linux reports CPU time in hundredths of a second to programs, on every architecture (proc(5), `USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A metric of one value, in the text format of Prometheus.
fn one(text: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

/// What Linux says about this process. Nothing where it says nothing.
pub fn process(text: &mut String) {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), option_env!("EMCRM_COMMIT").unwrap_or("unknown"));
    let _ =
        writeln!(text, "# HELP emcrm_build_info The program\n# TYPE emcrm_build_info gauge\nemcrm_build_info{{version=\"{version}\",commit=\"{commit}\"}} 1");
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in brackets and may hold anything; the fields behind it are numbers (proc(5)).
    let fields: Vec<f64> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect()).unwrap_or_default();
    let field = |n: usize| fields.get(n - 3).copied();
    if let (Some(user), Some(system), Some(threads)) = (field(14), field(15), field(20)) {
        one(text, "process_cpu_seconds_total", "counter", "Processor time", (user + system) / TICKS_PER_SECOND);
        one(text, "process_threads", "gauge", "Threads", threads);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    if let Some(kilobytes) = resident {
        one(text, "process_resident_memory_bytes", "gauge", "Resident memory", kilobytes * 1_024.0);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        one(text, "process_open_fds", "gauge", "Open file handles", open.count() as f64);
    }
}

/// How many of the newest campaigns are in each state.
pub async fn campaigns(app: &App, text: &mut String) {
    let Ok(found) = app.campaign_states(CAMPAIGNS_LOOKED_AT).await else { return };
    let _ = writeln!(text, "# HELP emcrm_campaigns Campaigns by state, among the newest {CAMPAIGNS_LOOKED_AT}\n# TYPE emcrm_campaigns gauge");
    for state in CampaignState::ALL {
        let n = found.iter().filter(|(seen, _)| *seen == state).count();
        let _ = writeln!(text, "emcrm_campaigns{{state=\"{state}\"}} {n}");
    }
    let held = found.iter().filter(|(_, held)| *held).count();
    one(text, "emcrm_campaigns_held", "gauge", "Paused campaigns that wait for a person, because of a fault", held as f64);
}

/// What the storage has only so many of, and how much of it is in use; and what it keeps in memory.
pub fn storage(app: &App, text: &mut String) {
    let engine = &app.store.engine;
    let pools = engine.pools();
    for (metric, help) in [("in_use", "Of what the storage has only so many: how many are in use"), ("max", "How many there are")] {
        let _ = writeln!(text, "# HELP emcrm_storage_pool_{metric} {help}\n# TYPE emcrm_storage_pool_{metric} gauge");
        for pool in &pools {
            let value = if metric == "max" { pool.max } else { pool.in_use };
            let _ = writeln!(text, "emcrm_storage_pool_{metric}{{engine=\"{}\",pool=\"{}\"}} {value}", engine.name(), pool.name);
        }
    }
    let Some(cache) = engine.cache() else { return };
    for (metric, kind, help, value) in [
        ("hits_total", "counter", "Reads of single items that were answered from memory", cache.hits),
        ("misses_total", "counter", "Reads of single items that were not", cache.misses),
        ("bytes", "gauge", "Items that are kept in memory", cache.bytes),
    ] {
        let name = format!("emcrm_storage_cache_{metric}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{engine=\"{}\"}} {value}", engine.name());
    }
}
