//! Everything from SQLite to DynamoDB and back, by the commands: the archives are the same, and each side is as if it had always been there.

use std::time::Instant;

use crate::support::{assert_verified, configure_aws, embedded, folder, part, rounds, run};

#[test]
fn everything_moves_to_the_other_engines_and_back() {
    let folder = folder();
    let [first, aws, back] = ["first", "aws", "back"].map(|name| folder.path().join(name));
    for path in [&first, &back] {
        std::fs::create_dir(path).unwrap();
        embedded(path);
    }
    configure_aws(&[&aws], &part("EMCRM_DYNAMODB"), &part("EMCRM_OPENSEARCH"));
    // The key is the same everywhere, as the guide says: it proves that the audit trail is whole.
    let settings = std::fs::read_to_string(aws.join(".env")).unwrap();
    let key = settings.lines().find(|line| line.starts_with("APP_SECRET_KEY=")).unwrap();
    for path in [&first, &back] {
        std::fs::write(path.join(".env"), key).unwrap();
    }
    let archive = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let done = |data: &std::path::Path, arguments: &[&str]| {
        let begin = Instant::now();
        let output = run(data, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        println!("{} in {:.1} s: {}", arguments[0], begin.elapsed().as_secs_f64(), String::from_utf8_lossy(&output.stdout).trim());
    };
    let users = rounds(2_000, 100_000).to_string();
    let attendances = rounds(3_000, 100_000).to_string();
    done(&first, &["generate", "--users", &users, "--events", "20", "--attendance", &attendances, "--seed", "3"]);
    done(&first, &["export", &archive("one.gz")]);
    done(&aws, &["import", &archive("one.gz")]);
    println!("{}", assert_verified(&aws));
    done(&aws, &["export", &archive("two.gz")]);
    done(&back, &["import", &archive("two.gz")]);
    assert_verified(&back);
    done(&back, &["export", &archive("three.gz")]);
    // Each export is noted before its first byte; but for those entries the lines are the same.
    let read = |name: &str| {
        let mut text = String::new();
        let file = std::fs::File::open(folder.path().join(name)).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
        text.lines().filter(|line| line.starts_with("{\"t\"") && !line.contains("\"p\":\"audit_")).map(str::to_owned).collect::<Vec<_>>()
    };
    let one = read("one.gz");
    assert!(one.len() > 1_000 && one == read("two.gz") && one == read("three.gz"), "the same lines");
}
