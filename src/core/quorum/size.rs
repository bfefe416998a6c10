//! From options and bucket to numbers.

use crate::core::bucket::Bucket;
use crate::core::request::{Failure, Options};

/// How many must answer a request, of how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuorumSizes {
    /// Owners asked.
    pub n: u8,
    /// Replicas that must answer: r or w.
    pub needed: u8,
    /// Owners among them: pr or pw.
    pub primaries: u8,
    /// Whether fallbacks stand in for owners that are down.
    pub sloppy: bool,
}

impl QuorumSizes {
    /// Whether the request asks for owners, pr or pw being more than zero. Such a request is *strict*: who owns the key is then
    /// part of what its answer promises, so those who coordinate it and those who are counted need a lease.
    pub fn is_strict(&self) -> bool {
        self.primaries > 0
    }
}

/// The sizes of a read in a cluster with this replication, or why they can never be met.
pub fn read_sizes(options: &Options, bucket: &Bucket, replication: u8) -> Result<QuorumSizes, Failure> {
    let n = replicas(options, bucket, replication)?;
    let (r, pr) = (options.r.unwrap_or(bucket.r).of(n), options.pr.unwrap_or(bucket.pr).of(n));
    sizes(options, bucket, n, ("r", r), ("pr", pr))
}

/// The sizes of a write in a cluster with this replication, or why they can never be met.
pub fn write_sizes(options: &Options, bucket: &Bucket, replication: u8) -> Result<QuorumSizes, Failure> {
    let n = replicas(options, bucket, replication)?;
    let (w, pw) = (options.w.unwrap_or(bucket.w).of(n), options.pw.unwrap_or(bucket.pw).of(n));
    sizes(options, bucket, n, ("w", w), ("pw", pw))
}

fn replicas(options: &Options, bucket: &Bucket, replication: u8) -> Result<u8, Failure> {
    let most = bucket.n.unwrap_or(replication).min(replication);
    match options.n {
        Some(0) => Err(Failure::Invalid("n=0: at least one replica must be asked".into())),
        Some(n) if n > most => {
            Err(Failure::Invalid(format!("n={n}, but the bucket keeps {most} replicas; a request may only lower n")))
        }
        n => Ok(n.unwrap_or(most)),
    }
}

fn sizes(
    options: &Options,
    bucket: &Bucket,
    n: u8,
    (name, needed): (&str, u8),
    (primary_name, primaries): (&str, u8),
) -> Result<QuorumSizes, Failure> {
    if needed == 0 {
        return Err(Failure::Invalid(format!("{name}=0: at least one replica must answer")));
    }
    for (name, size) in [(name, needed), (primary_name, primaries)] {
        if size > n {
            return Err(Failure::Invalid(format!("{name}={size}, but only n={n} replicas are asked")));
        }
    }
    if options.strict && options.sloppy == Some(true) {
        return Err(Failure::Invalid("strict and sloppy exclude each other".into()));
    }
    let primaries = if options.strict { needed.max(primaries) } else { primaries };
    let sloppy = !options.strict && options.sloppy.unwrap_or(bucket.sloppy);
    // So many owners are that many replicas.
    Ok(QuorumSizes { n, needed: needed.max(primaries), primaries, sloppy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::bucket::QuorumSize::*;

    fn refused(options: Options) -> String {
        write_sizes(&options, &Bucket::default(), 3).unwrap_err().to_string()
    }

    #[test]
    fn words_follow_n() {
        let options = Options { n: Some(2), r: Some(All), ..Options::default() };
        let sizes = read_sizes(&options, &Bucket::default(), 3).unwrap();
        assert_eq!(sizes, QuorumSizes { n: 2, needed: 2, primaries: 0, sloppy: true });
    }

    #[test]
    fn strict_means_owners_only() {
        let options = Options { w: Some(Count(3)), strict: true, ..Options::default() };
        let sizes = write_sizes(&options, &Bucket::default(), 3).unwrap();
        assert_eq!(sizes, QuorumSizes { n: 3, needed: 3, primaries: 3, sloppy: false });
    }

    #[test]
    fn the_impossible_is_refused() {
        assert_eq!(
            refused(Options { w: Some(Count(4)), ..Options::default() }),
            "w=4, but only n=3 replicas are asked"
        );
        assert_eq!(
            refused(Options { pw: Some(Count(3)), n: Some(2), ..Options::default() }),
            "pw=3, but only n=2 replicas are asked"
        );
        assert_eq!(
            refused(Options { w: Some(Count(0)), ..Options::default() }),
            "w=0: at least one replica must answer"
        );
        assert_eq!(
            refused(Options { n: Some(4), ..Options::default() }),
            "n=4, but the bucket keeps 3 replicas; a request may only lower n"
        );
    }
}
