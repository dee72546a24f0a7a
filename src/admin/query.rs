//! The parameters of pages.

use std::time::Duration;

use stockade_proto as pb;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The parameters of `/v1/events`.
///
/// # Errors
/// `INVALID_ARGUMENT` that names every faulty parameter.
pub(super) fn events(query: &str) -> Result<pb::ListEventsRequest, Status> {
    let mut asked = pb::ListEventsRequest::default();
    let mut filter = pb::EventFilter { types: vec!["*".to_owned()], ..pb::EventFilter::default() };
    let mut faults = Vec::new();
    let mut fault = |name: &str, text: &str| faults.push(FieldViolation::new(name, text));
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "after" => asked.after = value.into_owned(),
            "types" => filter.types = value.split(',').map(|name| name.trim().to_owned()).collect(),
            "drop_id" => filter.drop_id = value.into_owned(),
            "wait" => match humantime::parse_duration(&value).ok().and_then(wait) {
                Some(wait) => asked.wait = Some(wait),
                None => fault("wait", "must be a duration such as 20s"),
            },
            "page_size" => match value.parse() {
                Ok(size) => asked.page_size = size,
                Err(_) => fault("page_size", "must be a whole number"),
            },
            unknown => fault(unknown, "no such parameter: there are after, types, drop_id, wait, page_size"),
        }
    }
    if faults.is_empty() {
        asked.filter = Some(filter);
        return Ok(asked);
    }
    Err(faulty(faults))
}

/// The type of `/v1/hooks/samples`, or all types.
///
/// # Errors
/// `INVALID_ARGUMENT` that names a parameter that there is not.
pub(super) fn samples(query: &str) -> Result<Vec<String>, Status> {
    let mut types = vec!["*".to_owned()];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "type" {
            return Err(faulty(vec![FieldViolation::new(name, "no such parameter: there is type")]));
        }
        types = vec![value.into_owned()];
    }
    Ok(types)
}

fn faulty(faults: Vec<FieldViolation>) -> Status {
    let shown = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.description));
    let message = shown.collect::<Vec<_>>().join("; ");
    Status::with_error_details(tonic::Code::InvalidArgument, message, ErrorDetails::with_bad_request(faults))
}

fn wait(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_call() {
        let asked = events("after=abc&types=stockade.drop.*,%20stockade.hold.created&drop_id=k&wait=20s&page_size=7");
        let asked = asked.expect("good parameters");
        let filter = asked.filter.expect("a filter");
        assert_eq!(filter.types, ["stockade.drop.*", "stockade.hold.created"]);
        assert_eq!((asked.after.as_str(), filter.drop_id.as_str(), asked.page_size), ("abc", "k", 7));
        assert_eq!(asked.wait, Some(prost_types::Duration { seconds: 20, nanos: 0 }));
        assert_eq!(events("").expect("all events").filter.expect("a filter").types, ["*"]);
    }

    #[test]
    fn every_faulty_parameter_is_named() {
        let status = events("wait=soon&page_size=x&size=1").expect_err("faulty");
        let fields = status.get_details_bad_request().expect("details").field_violations;
        assert_eq!(fields.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), ["wait", "page_size", "size"]);
    }
}
