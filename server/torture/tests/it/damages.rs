//! Faults in files.

use hongyan_torture::damage::{Damage, Kind, files};
use hongyan_torture::numbers::Numbers;
use hongyan_torture::work_dir::copy_tree;

#[test]
fn faults_reach_every_file_and_change_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let base = dir.path().join("base");
    std::fs::create_dir_all(base.join("log")).expect("a directory");
    std::fs::write(base.join("small"), b"hello").expect("a file");
    std::fs::write(base.join("empty"), b"").expect("a file");
    let mut sparse = vec![0_u8; 100_000];
    sparse[50_000..60_000].fill(7);
    std::fs::write(base.join("log/00001"), &sparse).expect("a file");
    let found = files(&base).expect("the files");
    assert_eq!(found.len(), 2, "an empty file cannot be damaged");
    assert_eq!(found[0].used, [49_152, 53_248, 57_344]);

    let mut numbers = Numbers::new(3);
    let (mut hit, mut flips) = (std::collections::BTreeSet::new(), 0);
    for number in 1..=60 {
        let damage = Damage::draw(&found, number, &mut numbers).expect("there are files");
        let copy = dir.path().join(format!("copy-{number}"));
        copy_tree(&base, &copy).expect("a copy");
        damage.apply(&copy).expect("damage");
        let before = std::fs::read(base.join(&damage.path)).expect("a file");
        let after = std::fs::read(copy.join(&damage.path)).expect("a file");
        assert_ne!(before, after, "{damage}");
        if let Kind::Flip { .. } = damage.kind {
            flips += 1;
            let bits = before.iter().zip(&after).map(|(a, b)| (a ^ b).count_ones());
            assert_eq!(bits.sum::<u32>(), 1);
        }
        hit.insert(damage.class());
    }
    assert_eq!(hit.into_iter().collect::<Vec<_>>(), ["log/#", "small"]);
    assert!(flips > 30);
}

#[test]
fn a_file_counts_as_named_by_its_path() {
    let kind = Kind::Truncate { bytes: 0 };
    let deep = Damage { path: "views/db".into(), kind };
    assert!(deep.is_named_in("data/views/db is corrupt at byte 3"));
    assert!(deep.is_named_in("data/views is corrupt at byte 0"));
    assert!(!deep.is_named_in("data/log/0001 is corrupt"));
    let shallow = Damage { path: "high-water".into(), kind };
    assert!(shallow.is_named_in("data/high-water is corrupt"));
    assert!(!shallow.is_named_in("data is corrupt"));
}
