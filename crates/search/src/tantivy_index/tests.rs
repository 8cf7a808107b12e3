//! The rules of every index, in memory and on the disk, and what only the embedded index promises.

// The suite awaits the making of an index, which elsewhere waits for a server.
#![allow(clippy::unused_async)]

use super::*;
use crate::conformance::Fixture;

mod in_memory {
    use super::*;

    async fn make() -> Fixture {
        (Arc::new(TantivyIndex::memory().unwrap()), Box::new(()))
    }
    crate::index_conformance!(make);
}

mod on_disk {
    use super::*;

    async fn make() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(TantivyIndex::open(folder.path()).unwrap()), Box::new(folder))
    }
    crate::index_conformance!(make);
}

/// What is on the disk: opening, damage, crashes.
mod files {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::*;
    use crate::tantivy_index::fields::SCHEMA_VERSION;
    use crate::tantivy_index::version::Version;

    /// The folder of the first version.
    const FIRST: &str = "v2-000001";

    #[test]
    fn the_first_version_is_named_after_the_schema() {
        assert_eq!(FIRST, format!("v{SCHEMA_VERSION}-000001"));
    }

    fn change(id: &str) -> DocChange {
        DocChange::Upsert(Doc {
            kind: Kind::User,
            id: id.to_owned(),
            exact: vec![(Field::City, "Oslo".to_owned())],
            numbers: vec![(Field::AttendedCount, 1)],
            text: vec!["ann".to_owned()],
        })
    }

    fn doc(id: &str) -> Doc {
        let DocChange::Upsert(doc) = change(id) else { unreachable!() };
        doc
    }

    async fn ids(index: &TantivyIndex) -> Vec<String> {
        index.walk(Kind::User, Conditions::default(), None, 100).await.unwrap()
    }

    /// A complete index with the users a and b, closed again.
    async fn filled() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let index = TantivyIndex::open(folder.path()).unwrap();
        index.apply(vec![change("a"), change("b")]).await.unwrap();
        index.mark_complete().await.unwrap();
        folder
    }

    fn versions(folder: &Path) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(folder.join("search")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        found.sort();
        found
    }

    /// The files as a crash at this moment would leave them. Files that vanish meanwhile are drafts.
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy(&path, &target);
            } else if let Err(error) = fs::copy(&path, &target) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            }
        }
    }

    #[tokio::test]
    async fn a_filled_index_survives_reopening() {
        let folder = filled().await;
        for _ in 0..2 {
            let index = TantivyIndex::open(folder.path()).unwrap();
            assert!(index.is_complete().await.unwrap());
            assert_eq!(ids(&index).await, ["a", "b"]);
        }
        let index = TantivyIndex::open(folder.path()).unwrap();
        index.apply(vec![change("c"), DocChange::Delete(Kind::User, "a".to_owned())]).await.unwrap();
        index.flush().await.unwrap();
        drop(index);
        assert_eq!(ids(&TantivyIndex::open(folder.path()).unwrap()).await, ["b", "c"]);
    }

    #[tokio::test]
    async fn an_index_that_was_not_filled_is_still_incomplete_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let index = TantivyIndex::open(folder.path()).unwrap();
        index.apply(vec![change("a")]).await.unwrap();
        index.flush().await.unwrap();
        drop(index);
        let index = TantivyIndex::open(folder.path()).unwrap();
        assert!(!index.is_complete().await.unwrap());
        assert_eq!(ids(&index).await, ["a"]);
    }

    #[tokio::test]
    async fn a_crash_loses_what_was_not_flushed_and_nothing_else() {
        let folder = filled().await;
        let index = TantivyIndex::open(folder.path()).unwrap();
        index.apply(vec![change("flushed")]).await.unwrap();
        index.flush().await.unwrap();
        index.apply(vec![change("lost"), DocChange::Delete(Kind::User, "a".to_owned())]).await.unwrap();
        let crashed = tempfile::tempdir().unwrap();
        copy(folder.path(), crashed.path());
        let index = TantivyIndex::open(crashed.path()).unwrap();
        assert_eq!(ids(&index).await, ["a", "b", "flushed"]);
        assert!(index.is_complete().await.unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_made_anew_and_incomplete() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage); 8] = [
            ("another schema version", |search| {
                fs::rename(search.join(FIRST), search.join("v0-000001")).unwrap();
                fs::write(search.join("current"), "v0-000001").unwrap();
            }),
            ("other fields under the same name", |search| {
                let mut fields = tantivy::schema::Schema::builder();
                fields.add_u64_field("other", tantivy::schema::INDEXED);
                let version = search.join(FIRST);
                fs::remove_dir_all(&version).unwrap();
                Version::create(FIRST.to_owned(), &version, &fields.build()).unwrap();
                fs::write(version.join("complete"), "").unwrap();
            }),
            ("no pointer", |search| fs::remove_file(search.join("current")).unwrap()),
            ("garbage as pointer", |search| fs::write(search.join("current"), [0xFF, 0, b'/', b'.']).unwrap()),
            ("a pointer to nothing", |search| fs::write(search.join("current"), format!("v{SCHEMA_VERSION}-000009")).unwrap()),
            ("garbage as description", |search| fs::write(search.join(FIRST).join("user/meta.json"), "{\"segments\":").unwrap()),
            ("a missing folder", |search| fs::remove_dir_all(search.join(FIRST).join("event")).unwrap()),
            ("cut files", |search| {
                for entry in fs::read_dir(search.join(FIRST).join("user")).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|extension| extension != "json") {
                        fs::write(path, "cut").unwrap();
                    }
                }
            }),
        ];
        for (name, damage) in damages {
            let folder = filled().await;
            damage(&folder.path().join("search"));
            let index = TantivyIndex::open(folder.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!index.is_complete().await.unwrap(), "{name}");
            assert_eq!(ids(&index).await, [""; 0], "{name}");
            assert_eq!(versions(folder.path()).len(), 1, "{name}: the damaged version is removed");
            index.apply(vec![change("c")]).await.unwrap();
            index.mark_complete().await.unwrap();
            drop(index);
            let index = TantivyIndex::open(folder.path()).unwrap();
            assert!(index.is_complete().await.unwrap(), "{name}");
            assert_eq!(ids(&index).await, ["c"], "{name}");
        }
    }

    #[tokio::test]
    async fn a_cut_list_of_files_does_no_harm() {
        let folder = filled().await;
        fs::write(folder.path().join("search").join(FIRST).join("user/.managed.json"), "[\"a").unwrap();
        let index = TantivyIndex::open(folder.path()).unwrap();
        assert!(index.is_complete().await.unwrap());
        index.apply(vec![change("c")]).await.unwrap();
        index.flush().await.unwrap();
        assert_eq!(ids(&index).await, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_kill_before_or_after_the_swap_leaves_one_usable_version() {
        let folder = filled().await;
        let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let old = folder.path().join("search").join(FIRST);
        let index = TantivyIndex::open(folder.path()).unwrap();
        let mut rebuild = index.rebuild().await.unwrap();
        rebuild.add(vec![doc("new")]).await.unwrap();
        copy(folder.path(), before.path());
        copy(&old, &after.path().join("search").join(FIRST));
        rebuild.swap().await.unwrap();
        assert_eq!(versions(folder.path()).len(), 1, "the old version is removed");
        copy(folder.path(), after.path());
        fs::write(after.path().join("search/current.new"), "v1-0000").unwrap();
        for (folder, wanted) in [(&before, vec!["a", "b"]), (&after, vec!["new"])] {
            assert_eq!(versions(folder.path()).len(), 2);
            let index = TantivyIndex::open(folder.path()).unwrap();
            assert_eq!(ids(&index).await, wanted);
            assert!(index.is_complete().await.unwrap());
            assert_eq!(versions(folder.path()).len(), 1, "the other version is removed");
        }
    }

    #[tokio::test]
    async fn an_abandoned_rebuild_leaves_no_folder() {
        let folder = filled().await;
        let index = TantivyIndex::open(folder.path()).unwrap();
        let mut rebuild = index.rebuild().await.unwrap();
        rebuild.add(vec![doc("new")]).await.unwrap();
        assert_eq!(versions(folder.path()).len(), 2);
        drop(rebuild);
        index.flush().await.unwrap();
        assert_eq!(versions(folder.path()).len(), 1);
    }

    #[tokio::test]
    async fn a_folder_is_open_once() {
        let folder = filled().await;
        let index = TantivyIndex::open(folder.path()).unwrap();
        assert!(matches!(TantivyIndex::open(folder.path()), Err(SearchError::Unavailable(_))));
        drop(index);
        TantivyIndex::open(folder.path()).unwrap();
    }

    #[tokio::test]
    async fn a_rebuild_that_outlives_its_index_is_refused() {
        let folder = filled().await;
        let index = TantivyIndex::open(folder.path()).unwrap();
        let mut rebuild = index.rebuild().await.unwrap();
        drop(index);
        assert!(matches!(rebuild.add(vec![doc("new")]).await, Err(SearchError::Unavailable(_))));
        assert!(rebuild.swap().await.is_err());
        assert_eq!(ids(&TantivyIndex::open(folder.path()).unwrap()).await, ["a", "b"]);
    }
}
