//! What has to be known of a PDF before it is safe to read: the parser unpacks without a limit and follows
//! references without looking back, and a stack that overflows would end the whole process.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use flate2::bufread::ZlibDecoder;
use pdf_extract::{Dictionary, Document, Object, ObjectId};

use super::ExtractError;

/// Bytes of all compressed streams when unpacked. A thousand pages with pictures stay below.
const UNPACKED_BYTES_MAX: u64 = 512 << 20;

/// Bytes of one stream packed with LZW, which unpacks to at most some thousand times as much. Out of use since 2000.
const LZW_BYTES_MAX: usize = 256 << 10;

/// Steps from a page up to the root of the page tree, and forms drawn inside forms.
const DEPTH_MAX: usize = 64;
const FORMS_DEPTH_MAX: usize = 16;

/// Bytes before `stream` in which its filters are named.
const DICTIONARY_BYTES: usize = 2048;

/// Refuses a file whose streams unpack to more than is sensible. Works on the bytes: parsing already unpacks.
pub(super) fn streams(bytes: &[u8]) -> Result<(), ExtractError> {
    let mut left = UNPACKED_BYTES_MAX;
    for keyword in memchr::memmem::find_iter(bytes, b"stream") {
        if bytes[..keyword].ends_with(b"end") {
            continue;
        }
        let data = skip_line_end(&bytes[keyword + b"stream".len()..]);
        let dictionary = &bytes[keyword.saturating_sub(DICTIONARY_BYTES)..keyword];
        // The dictionary of this stream only, not of the one before it.
        let dictionary = memchr::memmem::rfind(dictionary, b"obj").map_or(dictionary, |at| &dictionary[at..]);
        let names = |name: &[u8]| memchr::memmem::find(dictionary, name).is_some();
        if names(b"LZW") {
            let length = memchr::memmem::find(data, b"endstream").unwrap_or(data.len());
            if length > LZW_BYTES_MAX {
                return Err(ExtractError::too_much(
                    "bytes in a stream packed with LZW",
                    LZW_BYTES_MAX as u64,
                ));
            }
        }
        // Whatever the filters are called: what begins like zlib is unpacked, twice if it was packed twice.
        left = left.saturating_sub(unpacked(data, left));
        if left == 0 {
            return Err(ExtractError::too_much("bytes when unpacked", UNPACKED_BYTES_MAX));
        }
    }
    Ok(())
}

fn skip_line_end(data: &[u8]) -> &[u8] {
    let data = data.strip_prefix(b"\r").unwrap_or(data);
    data.strip_prefix(b"\n").unwrap_or(data)
}

/// Bytes that `data` unpacks to, counted up to `max` and never kept.
fn unpacked(data: &[u8], max: u64) -> u64 {
    if !begins_like_zlib(data) {
        return 0;
    }
    let once = count(ZlibDecoder::new(data), max);
    let mut head = [0; 2];
    let twice = if ZlibDecoder::new(data).read_exact(&mut head).is_ok() && begins_like_zlib(&head) {
        let inner = ZlibDecoder::new(data).take(max);
        count(ZlibDecoder::new(std::io::BufReader::new(inner)), max)
    } else {
        0
    };
    once.saturating_add(twice)
}

fn count(reader: impl Read, max: u64) -> u64 {
    let mut reader = reader.take(max);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    // A damaged stream is counted up to the damage.
    while let Ok(read @ 1..) = reader.read(&mut buffer) {
        total += read as u64;
    }
    total
}

/// A zlib header: deflate, and a check sum over the two bytes.
fn begins_like_zlib(data: &[u8]) -> bool {
    matches!(data, [method, flags, ..]
        if method & 0x0F == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

/// Refuses cycles that would be followed for ever, and takes out what holds no text.
pub(super) fn structure(document: &mut Document) -> Result<(), ExtractError> {
    for page in document.get_pages().into_values() {
        check_ancestors(document, page)?;
    }
    for object in document.objects.values_mut() {
        if let Object::Stream(stream) = object
            && stream.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|name| name == b"Image")
        {
            // The parser would unpack a picture and read it as drawing instructions.
            stream.set_content(Vec::new());
            stream.dict.remove(b"Filter");
        }
    }
    check_forms(document)
}

fn check_ancestors(document: &Document, page: ObjectId) -> Result<(), ExtractError> {
    let mut at = page;
    for _ in 0..DEPTH_MAX {
        let parent =
            document.get_dictionary(at).ok().and_then(|node| node.get(b"Parent").ok()?.as_reference().ok());
        match parent {
            Some(parent) => at = parent,
            None => return Ok(()),
        }
    }
    Err(ExtractError::too_deep("pages", DEPTH_MAX))
}

/// Forms (drawings that pages and other forms draw) must not draw themselves.
fn check_forms(document: &Document) -> Result<(), ExtractError> {
    let mut drawn: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    let mut everything: HashSet<ObjectId> = HashSet::new();
    for (id, object) in &document.objects {
        let resources = match object {
            Object::Stream(stream) => stream.dict.get(b"Resources").ok(),
            Object::Dictionary(dictionary) => dictionary.get(b"Resources").ok(),
            _ => None,
        };
        let forms = resources.map(|resources| forms_of(document, resources)).unwrap_or_default();
        everything.extend(&forms);
        drawn.insert(*id, forms);
    }
    // A form without resources of its own uses those of whoever draws it: perhaps any form, itself included.
    for form in &everything {
        let Some(Object::Stream(stream)) = document.objects.get(form) else { continue };
        if stream.dict.get(b"Resources").is_err() {
            let draws = stream.decompressed_content().unwrap_or_else(|_| stream.content.clone());
            if memchr::memmem::find(&draws, b"Do").is_some() {
                return Err(ExtractError::broken("PDF", "a drawing draws others without naming them"));
            }
        }
    }
    let mut depths = HashMap::new();
    for form in &everything {
        depth(*form, &drawn, &mut depths, 0)?;
    }
    Ok(())
}

/// The forms that a resource dictionary names.
fn forms_of(document: &Document, resources: &Object) -> Vec<ObjectId> {
    let dictionary = |object| document.dereference(object).ok().and_then(|(_, found)| found.as_dict().ok());
    let forms: Option<&Dictionary> =
        dictionary(resources).and_then(|resources| dictionary(resources.get(b"XObject").ok()?));
    let references = forms.into_iter().flat_map(Dictionary::iter).filter_map(|(_, form)| {
        // To where the reference ends: references to references are legal.
        let (id, _) = document.dereference(form).ok()?;
        id
    });
    references.collect()
}

/// How deep a form draws others. Recursive up to the limit.
fn depth(
    form: ObjectId,
    drawn: &HashMap<ObjectId, Vec<ObjectId>>,
    depths: &mut HashMap<ObjectId, usize>,
    above: usize,
) -> Result<usize, ExtractError> {
    if above > FORMS_DEPTH_MAX {
        return Err(ExtractError::too_deep("drawings", FORMS_DEPTH_MAX));
    }
    if let Some(known) = depths.get(&form) {
        return Ok(*known);
    }
    let mut deepest = 0;
    for inner in drawn.get(&form).into_iter().flatten() {
        deepest = deepest.max(1 + depth(*inner, drawn, depths, above + 1)?);
    }
    if above + deepest > FORMS_DEPTH_MAX {
        return Err(ExtractError::too_deep("drawings", FORMS_DEPTH_MAX));
    }
    depths.insert(form, deepest);
    Ok(deepest)
}
