//! The parts of a multipart body, without the boundary between them (RFC 2046, section 5.1).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;

/// The type without its boundary, and the body as the lengths and bytes of what the boundary
/// separates: what stands before the first part, the parts, and what stands after the last.
pub(super) fn canonical(parts: &Parts, body: &Bytes) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
    let mut types = parts.headers.get_all(CONTENT_TYPE).iter();
    let (content_type, boundary) = split(types.next()?.as_bytes())?;
    if types.next().is_some() {
        return None;
    }
    Some((Some(content_type), segments(body, &boundary)?))
}

/// The type without its boundary, and the boundary; `None` where it is no multipart.
fn split(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut items = outside_quotes(value).into_iter();
    let mut content_type = items.next()?.trim_ascii().to_ascii_lowercase();
    if !content_type.starts_with(b"multipart/") {
        return None;
    }
    let mut boundary = None;
    for item in items.map(<[u8]>::trim_ascii) {
        match boundary_of(item) {
            // Which of two counts, nobody can know.
            Some(_) if boundary.is_some() => return None,
            Some(found) => boundary = Some(found),
            None => {
                content_type.push(b';');
                content_type.extend(item);
            }
        }
    }
    let boundary = boundary.filter(|boundary| (1..=70).contains(&boundary.len()))?;
    Some((content_type, boundary))
}

fn boundary_of(parameter: &[u8]) -> Option<Vec<u8>> {
    let (name, value) = parameter.split_at(parameter.iter().position(|byte| *byte == b'=')?);
    if !name.eq_ignore_ascii_case(b"boundary") {
        return None;
    }
    let value = &value[1..];
    let Some(quoted) = value.strip_prefix(b"\"") else { return Some(value.to_vec()) };
    let mut escaped = false;
    let quoted = quoted.strip_suffix(b"\"").unwrap_or(quoted).iter().copied();
    let plain = quoted.filter(|byte| {
        escaped = *byte == b'\\' && !escaped;
        !escaped
    });
    Some(plain.collect())
}

/// The pieces between the semicolons that are in no quoted text.
fn outside_quotes(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|byte| {
            let separates = *byte == b';' && !quoted;
            quoted ^= *byte == b'"' && !escaped;
            escaped = quoted && *byte == b'\\' && !escaped;
            separates
        })
        .collect()
}

/// `None` where the body has no first boundary, or does not end with one that says so.
fn segments(body: &[u8], boundary: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut segment = |bytes: &[u8]| {
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    };
    let (mut start, mut line) = (0, 0);
    loop {
        let end = body[line..].windows(2).position(|pair| pair == b"\r\n").map(|at| line + at);
        let found = delimiter(&body[line..end.unwrap_or(body.len())], boundary);
        if found.is_some() {
            // The line break before a boundary belongs to it.
            segment(&body[start..line.saturating_sub(2).max(start)]);
            start = end.map_or(body.len(), |end| end + 2);
        }
        match (found, end) {
            (Some(Delimiter::Last), _) => {
                segment(&body[start..]);
                return Some(out);
            }
            (_, Some(end)) => line = end + 2,
            (_, None) => return None,
        }
    }
}

#[derive(PartialEq)]
enum Delimiter {
    Next,
    Last,
}

fn delimiter(line: &[u8], boundary: &[u8]) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (found, padding) = match rest.strip_prefix(b"--") {
        Some(padding) => (Delimiter::Last, padding),
        None => (Delimiter::Next, rest),
    };
    padding.iter().all(|byte| matches!(byte, b' ' | b'\t')).then_some(found)
}

#[cfg(test)]
mod tests;
