//! Data folders that cannot be used: a clear message, an exit status, nothing damaged.

use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::support::{Process, assert_verified, binary, client, embedded, free_port, post, post_ok};

fn folder() -> tempfile::TempDir {
    let folder = crate::support::folder();
    embedded(folder.path());
    folder
}

fn serve(data: &Path) -> Output {
    binary().arg("serve").env("APP_DATA_DIR", data).env("APP_API_PORT", free_port().to_string()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_newer_file_is_refused_and_left_as_it_is() {
    let folder = folder();
    let file = folder.path().join("emcrm.db");
    std::fs::write(&file, vec![0x5a; 40_000]).unwrap();
    let output = serve(folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("emcrm.db"), "{}", said(&output));
    assert_eq!(std::fs::read(&file).unwrap(), vec![0x5a; 40_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_folder_is_refused() {
    let folder = folder();
    let server = Process::start(folder.path(), None).await;
    let output = serve(folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains(&server.id().to_string()), "names the process: {}", said(&output));
    server.stop();
    assert_verified(folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_said_with_the_way_out() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = binary().arg("serve").env("APP_DATA_DIR", folder.path()).env("APP_API_PORT", &port).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("APP_API_PORT") && said(&output).contains(&port), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_keeps_reads_and_recovers() {
    let folder = folder();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&small).status().unwrap();
    assert!(mounted.success(), "this test needs the right to mount a small tmpfs");
    embedded(&small);
    let result = std::panic::AssertUnwindSafe(full_disk(&small));
    let result = futures::FutureExt::catch_unwind(result).await;
    // Lazily, because a process that is just ending may still hold it.
    std::process::Command::new("umount").arg("-l").arg(&small).status().unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

async fn full_disk(small: &Path) {
    let server = Process::start(small, None).await;
    let client = client();
    let user = |i: usize| json!({ "firstName": "Full", "lastName": "Disk", "email": format!("f{i}@example.org") });
    let mut kept = Vec::new();
    for i in 0..20 {
        kept.push(post_ok(&client, format!("{}/users/", server.base), &user(i)).await["id"].as_str().unwrap().to_owned());
    }
    // Somebody else fills the disk.
    let ballast = small.join("ballast");
    let mut bytes = 24 * 1024 * 1024_usize;
    while bytes > 0 {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
        if std::io::Write::write_all(&mut file, &vec![0; bytes.min(4096)]).is_err() {
            break;
        }
        bytes = bytes.saturating_sub(4096);
    }
    let mut refused = 0;
    for i in 20..400 {
        let (status, answer) = post(&client, format!("{}/users/", server.base), &user(i)).await;
        match status {
            200 => kept.push(answer["id"].as_str().unwrap().to_owned()),
            503 => refused += 1,
            other => panic!("{other}: {answer}"),
        }
    }
    assert!(refused > 0, "the disk did get full");
    for id in &kept {
        assert_eq!(client.get(format!("{}/users/{id}", server.base)).send().await.unwrap().status(), 200, "reads go on");
    }
    std::fs::remove_file(&ballast).unwrap();
    let mut back = false;
    for i in 400..1_600 {
        let (status, _) = post(&client, format!("{}/users/", server.base), &user(i)).await;
        back = status == 200;
        if back {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(back, "writes work again when there is room");
    server.stop();
    assert_verified(small);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_be_written_is_said_so() {
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // Root may write anywhere but to a read-only file system.
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(&data).status().unwrap().success();
    assert!(mount(&["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs"]), "this test needs the right to mount a small tmpfs");
    let output = serve(&data);
    std::process::Command::new("umount").arg("-l").arg(&data).status().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("APP_DATA_DIR"), "{}", said(&output));
}
