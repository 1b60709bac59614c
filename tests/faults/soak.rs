//! A long time in which nothing goes wrong: memory, files and threads of each instance, by thirds.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use haldane::error::Result;
use haldane::kafka::clock::now;

use crate::campaign::Campaign;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How much more memory the last third may take than the one before it.
const GROWTH_MAX: f64 = 1.03;

/// Resident KiB, open files and threads of a process.
type Taken = [u64; 3];

/// Looks at every instance for so long. Whether none takes more and more.
pub(crate) fn soak(campaign: &mut Campaign, span: Duration) -> Result<bool> {
    let mut looks: BTreeMap<(usize, usize), Vec<Taken>> = BTreeMap::new();
    let (begun, mut looked_at) = (now(), now());
    while begun.elapsed() < span {
        campaign.step()?;
        if looked_at.elapsed() < EVERY {
            continue;
        }
        looked_at = now();
        for (who, crew) in campaign.crews.iter().enumerate() {
            for slot in crew.working() {
                looks.entry((who, slot)).or_default().extend(crew.process(slot).and_then(taken));
            }
        }
    }
    let mut fine = true;
    println!("| instance | third | resident, KiB | files | threads |\n|---|---|---|---|---|");
    for ((who, slot), looks) in looks {
        let name = campaign.crews[who].name(slot);
        let thirds: Vec<Taken> = looks.chunks((looks.len() / 3).max(1)).take(3).map(median).collect();
        for (third, [memory, files, threads]) in (1..).zip(&thirds) {
            println!("| {name} | {third} | {memory} | {files} | {threads} |");
        }
        if let [_, middle, last] = thirds[..] {
            let grows = last[0] as f64 > middle[0] as f64 * GROWTH_MAX || last[1] > middle[1] || last[2] > middle[2];
            if grows {
                println!("flaw: {name} takes more and more");
            }
            fine &= !grows;
        }
    }
    Ok(fine)
}

fn taken(process: u32) -> Option<Taken> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
    Some([of("VmRSS")?, u64::try_from(files).ok()?, of("Threads")?])
}

fn median(looks: &[Taken]) -> Taken {
    [0, 1, 2].map(|what| {
        let mut of: Vec<u64> = looks.iter().map(|taken| taken[what]).collect();
        of.sort_unstable();
        of[of.len() / 2]
    })
}
