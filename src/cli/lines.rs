//! Lines of a request on the command line: SKUs with quantities, and the pools that they name.

use clap::Args;
use stockade_proto as pb;

use super::failure::Failure;

/// A SKU with a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goods {
    pub sku: String,
    pub quantity: u32,
}

/// Parses a SKU with a quantity.
pub(super) fn goods(text: &str) -> Result<Goods, String> {
    let Some((sku, quantity)) = text.rsplit_once('=') else {
        return Ok(Goods { sku: text.to_owned(), quantity: 1 });
    };
    match quantity.parse() {
        Ok(quantity) => Ok(Goods { sku: sku.to_owned(), quantity }),
        Err(_bad) => Err(format!("{quantity:?} is not a quantity: write SKU=2, and {text}=1 where that is the SKU")),
    }
}

/// The pools that a request's lines name.
#[derive(Debug, Args)]
pub(super) struct PoolOptions {
    /// This SKU's units of this pool only, such as a pickup place. Several of a SKU are for its lines in their order
    #[arg(long = "pool", value_name = "SKU=POOL", value_parser = pool)]
    pools: Vec<(String, String)>,
}

fn pool(text: &str) -> Result<(String, String), String> {
    let (sku, pool) = text.rsplit_once('=').ok_or("write SKU=POOL, such as KNIFE/20cm=market")?;
    Ok((sku.to_owned(), pool.to_owned()))
}

impl PoolOptions {
    /// The lines of a request. One pool of a SKU is that of all its lines; of several each is that of one line.
    ///
    /// # Errors
    /// If a pool is named for a SKU that has no line, or a SKU has several lines and another number of pools.
    pub(super) fn lines(&self, all: &[Goods]) -> Result<Vec<pb::Line>, Failure> {
        let of = |sku: &str| self.pools.iter().filter(|(other, _)| other == sku).map(|(_, pool)| pool).collect();
        for (sku, _) in &self.pools {
            let (pools, lines): (Vec<_>, _) = (of(sku), all.iter().filter(|goods| goods.sku == *sku).count());
            if lines == 0 {
                return Err(Failure::Usage(format!("--pool names {sku:?}, which no line has")));
            }
            if pools.len() > 1 && pools.len() != lines {
                let (pools, what) = (pools.len(), "name one for all of them, or one for each");
                return Err(Failure::Usage(format!("--pool names {pools} pools for {lines} lines of {sku:?}: {what}")));
            }
        }
        let line = |(place, Goods { sku, quantity }): (usize, &Goods)| {
            let pools: Vec<&String> = of(sku);
            let earlier = all.iter().take(place).filter(|goods| goods.sku == *sku).count();
            let pool = pools.get(earlier).or_else(|| pools.first()).map_or_else(String::new, |pool| (*pool).clone());
            pb::Line { sku: sku.clone(), quantity: *quantity, pool }
        };
        Ok(all.iter().enumerate().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of these quantities of one SKU, as `quantity pool`.
    fn lines(quantities: &[u32], pools: &[&str]) -> Result<Vec<String>, String> {
        let all: Vec<_> =
            quantities.iter().map(|quantity| Goods { sku: "K".to_owned(), quantity: *quantity }).collect();
        let pools = PoolOptions { pools: pools.iter().map(|text| pool(text).expect("a pool")).collect() };
        let lines = pools.lines(&all).map_err(|failure| failure.to_string())?;
        Ok(lines.iter().map(|line| format!("{} {}", line.quantity, line.pool)).collect())
    }

    #[test]
    fn one_pool_is_for_all_lines_of_its_sku_and_several_are_for_each_in_order() {
        assert_eq!(lines(&[1, 2], &[]), Ok(vec!["1 ".to_owned(), "2 ".to_owned()]));
        assert_eq!(lines(&[1, 2], &["K=a"]), Ok(vec!["1 a".to_owned(), "2 a".to_owned()]));
        assert_eq!(lines(&[1, 2], &["K=a", "K=b"]), Ok(vec!["1 a".to_owned(), "2 b".to_owned()]));
        assert!(lines(&[1], &["K=a", "K=b"]).expect_err("two for one").contains("2 pools for 1 lines of \"K\""));
        assert!(lines(&[1], &["S=a"]).expect_err("another SKU").contains("\"S\", which no line has"));
    }
}
