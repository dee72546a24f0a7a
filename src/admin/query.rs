//! The parameters of pages.

use stockade_proto as pb;

use crate::web::{Problem, Query};

/// The parameters of `/v1/events`.
///
/// # Errors
/// Every faulty parameter.
pub(super) fn events(query: Option<&str>) -> Result<pb::ListEventsRequest, Problem> {
    let mut query = Query::parse(query)?;
    let types = query.take("types").unwrap_or_else(|| "*".to_owned());
    let filter = pb::EventFilter {
        types: types.split(',').map(|name| name.trim().to_owned()).collect(),
        drop_id: query.take("drop_id").unwrap_or_default(),
        ..pb::EventFilter::default()
    };
    let wait = query.take("wait").map(|text| humantime::parse_duration(&text).map(prost_types::Duration::try_from));
    let wait = match wait {
        Some(Ok(Ok(wait))) => Some(wait),
        Some(_) => {
            query.fault("wait", "must be a duration, such as 20s");
            None
        }
        None => None,
    };
    let after = query.take("after").unwrap_or_default();
    let page_size = query.number("page_size");
    let asked = pb::ListEventsRequest { after, filter: Some(filter), page_size, wait, ..Default::default() };
    taken(query, asked)
}

/// The type of `/v1/hooks/samples`, or all types.
///
/// # Errors
/// Every faulty parameter.
pub(super) fn samples(query: Option<&str>) -> Result<String, Problem> {
    let mut query = Query::parse(query)?;
    let kind = query.take("type").unwrap_or_else(|| "*".to_owned());
    taken(query, kind)
}

/// What was asked, if nothing of it is faulty.
fn taken<T>(query: Query, asked: T) -> Result<T, Problem> {
    let faults = query.faults();
    if faults.is_empty() { Ok(asked) } else { Err(Problem::faulty(faults)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_call() {
        let query = "after=abc&types=stockade.drop.*,%20stockade.hold.created&drop_id=k&wait=20s&page_size=7";
        let asked = events(Some(query)).expect("good parameters");
        let filter = asked.filter.expect("a filter");
        assert_eq!(filter.types, ["stockade.drop.*", "stockade.hold.created"]);
        assert_eq!((asked.after.as_str(), filter.drop_id.as_str(), asked.page_size), ("abc", "k", 7));
        assert_eq!(asked.wait, Some(prost_types::Duration { seconds: 20, nanos: 0 }));
        assert_eq!(events(None).expect("all events").filter.expect("a filter").types, ["*"]);
    }

    #[test]
    fn every_faulty_parameter_is_named() {
        let problem = events(Some("wait=soon&page_size=x&size=1&types=a&types=b")).expect_err("faulty");
        let mut fields: Vec<_> = problem.violations.iter().map(|fault| fault.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["page_size", "size", "types", "wait"]);
    }
}
