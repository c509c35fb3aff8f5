//! pprof, gzipped or not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use prost::Message as _;

use crate::profile::{
    Attribute, Context, ContextId, Frame, FrameId, FrameKind, FunctionId, Link, Period, Profile,
    SampleKey, UNKNOWN_CPU,
};

use super::super::pprof::message::{self, Label, Location, Mapping};
use super::builder::{ANONYMOUS, Builder, Content, Named, PYTHON, frame, kind_of};
use super::wire::{self, Holds, Shape};
use super::{MOST_BYTES, ReadError};

/// What [`message`] says, for its size.
pub static SHAPE: Shape = Shape {
    size: size_of::<message::Profile>(),
    fields: &[
        (1, Holds::Message(&VALUE_TYPE)),
        (2, Holds::Message(&SAMPLE)),
        (3, Holds::Message(&MAPPING)),
        (4, Holds::Message(&LOCATION)),
        (5, Holds::Message(&FUNCTION)),
    ],
};
static VALUE_TYPE: Shape = leaf(size_of::<message::ValueType>());
static SAMPLE: Shape = Shape {
    size: size_of::<message::Sample>(),
    fields: &[
        (1, Holds::Numbers(size_of::<u64>())),
        (2, Holds::Numbers(size_of::<i64>())),
        (3, Holds::Message(&LABEL)),
    ],
};
static LABEL: Shape = leaf(size_of::<Label>());
static MAPPING: Shape = leaf(size_of::<Mapping>());
static LOCATION: Shape = Shape {
    size: size_of::<Location>(),
    fields: &[(4, Holds::Message(&LINE))],
};
static LINE: Shape = leaf(size_of::<message::Line>());
static FUNCTION: Shape = leaf(size_of::<message::Function>());

/// A message of single numbers.
const fn leaf(size: usize) -> Shape {
    Shape { size, fields: &[] }
}

pub fn read(profile: &mut Profile, name: &str, bytes: &[u8]) -> Result<(), ReadError> {
    let bytes = unpack(bytes)?;
    wire::check(&bytes, &SHAPE)?;
    let message =
        message::Profile::decode(&*bytes).map_err(|error| ReadError::Decode(error.to_string()))?;
    let message = &message;
    let mut builder = Builder::new(profile);
    builder.covers(
        message.time_nanos.max(0) as u64,
        message.duration_nanos.max(0) as u64,
    );
    let columns = Columns::of(message)?;
    let kind = &message.sample_type[columns.value];
    let value = builder.value_type(text(message, kind.r#type)?, text(message, kind.unit)?);
    let period = match &message.period_type {
        Some(of) if message.period > 0 => Some(Period {
            of: builder.value_type(text(message, of.r#type)?, text(message, of.unit)?),
            amount: message.period as u64,
        }),
        _ => None,
    };
    let event = builder.event(value, period.filter(|_| columns.count != columns.value))?;
    let places = places(&mut builder, message)?;
    for sample in &message.sample {
        let expected = message.sample_type.len();
        if sample.value.len() != expected {
            let found = sample.value.len();
            return Err(ReadError::Values { expected, found });
        }
        let mut frames: Vec<FrameId> = Vec::new();
        for id in &sample.location_id {
            let Some((frame, lines)) = places.get(id) else {
                return Err(missing("location", *id));
            };
            builder.place(*frame, lines, &mut frames)?;
        }
        let stack = builder.stack(&frames);
        let labels = Labels::of(&mut builder, message, &sample.label)?;
        let process = builder.process(labels.pid, labels.process.unwrap_or(name), labels.resource);
        let thread = builder.thread(process, labels.tid, labels.thread);
        let number = |column: usize| u64::try_from(sample.value[column]);
        let (Ok(weight), Ok(value)) = (number(columns.count), number(columns.value)) else {
            return Err(ReadError::Negative);
        };
        let key = SampleKey {
            stack,
            context: labels.context,
            process,
            thread,
            cpu: UNKNOWN_CPU,
            event,
        };
        builder.add_sum(key, weight, value)?;
    }
    Ok(())
}

fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ReadError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.into());
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(MOST_BYTES + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| ReadError::Unpack(error.to_string()))?;
    if unpacked.len() as u64 > MOST_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(unpacked.into())
}

/// Which of a sample's values are how many there were, and what they amount to. Where nothing says
/// how many, pictures are of the amount.
struct Columns {
    count: usize,
    value: usize,
}

impl Columns {
    fn of(message: &message::Profile) -> Result<Self, ReadError> {
        let mut count = None;
        let mut value = message.sample_type.len().checked_sub(1);
        for (column, kind) in message.sample_type.iter().enumerate() {
            if (text(message, kind.r#type)?, text(message, kind.unit)?) == ("samples", "count") {
                count = count.or(Some(column));
            }
            if message.default_sample_type != 0 && kind.r#type == message.default_sample_type {
                value = Some(column);
            }
        }
        let Some(value) = value else {
            return Err(missing("sample type", 0));
        };
        Ok(Self {
            count: count.unwrap_or(value),
            value,
        })
    }
}

type Place = (Frame, Vec<(FunctionId, i64)>);

fn places(
    builder: &mut Builder,
    message: &message::Profile,
) -> Result<HashMap<u64, Place>, ReadError> {
    let mappings: HashMap<u64, &Mapping> = message.mapping.iter().map(|it| (it.id, it)).collect();
    let mut functions = HashMap::new();
    for function in &message.function {
        let named = Named {
            name: text(message, function.name)?,
            system_name: text(message, function.system_name)?,
            file: text(message, function.filename)?,
            first_line: function.start_line,
        };
        functions.insert(function.id, (builder.function(&named), named));
    }
    let mut places = HashMap::new();
    for location in &message.location {
        let mut lines = Vec::with_capacity(location.line.len());
        let mut outer = None;
        for line in &location.line {
            let Some((function, named)) = functions.get(&line.function_id) else {
                return Err(missing("function", line.function_id));
            };
            lines.push((*function, line.line));
            outer = Some(named);
        }
        let frame = frame_of(builder, message, &mappings, location, outer)?;
        places.insert(location.id, (frame, lines));
    }
    Ok(places)
}

fn frame_of(
    builder: &mut Builder,
    message: &message::Profile,
    mappings: &HashMap<u64, &Mapping>,
    location: &Location,
    named: Option<&Named>,
) -> Result<Frame, ReadError> {
    if location.mapping_id == 0 {
        let kind = named.map_or(FrameKind::Native, |named| kind_of(named.name, named.file));
        return Ok(frame(kind, None, location.address));
    }
    let Some(mapping) = mappings.get(&location.mapping_id) else {
        return Err(missing("mapping", location.mapping_id));
    };
    let path = text(message, mapping.filename)?;
    let build_id = text(message, mapping.build_id)?;
    let kind = match path {
        PYTHON => return Ok(frame(FrameKind::Python, None, 0)),
        ANONYMOUS | "//anon" => FrameKind::Jit,
        "[vdso]" | "[vsyscall]" => FrameKind::Native,
        // perf's and the kernel's own names for memory of a process: what runs there was made there.
        path if ["[heap]", "[stack", "[anon"]
            .iter()
            .any(|it| path.starts_with(it)) =>
        {
            FrameKind::Jit
        }
        path if path.starts_with('[') => FrameKind::Kernel,
        _ => FrameKind::Native,
    };
    let executable = builder.executable(path, build_id, "");
    Ok(frame(kind, Some(executable), location.address))
}

/// What a sample's labels say.
struct Labels<'a> {
    pid: u32,
    process: Option<&'a str>,
    tid: u32,
    thread: &'a str,
    /// Of the process.
    resource: Vec<Attribute>,
    context: ContextId,
}

impl<'a> Labels<'a> {
    fn of(
        builder: &mut Builder,
        message: &'a message::Profile,
        labels: &[Label],
    ) -> Result<Self, ReadError> {
        let mut found = Self {
            pid: 0,
            process: None,
            tid: 0,
            thread: "",
            resource: Vec::new(),
            context: ContextId::NONE,
        };
        let (mut trace, mut span) = (None, None);
        let mut attributes = Vec::new();
        for label in labels {
            let (key, value) = (text(message, label.key)?, text(message, label.str)?);
            let number = u32::try_from(label.num).unwrap_or(0);
            match key {
                "pid" if value.is_empty() => found.pid = number,
                "tid" if value.is_empty() => found.tid = number,
                "comm" => found.process = Some(value),
                "thread" => found.thread = value,
                "trace_id" => trace = bytes_of(value),
                "span_id" => span = bytes_of(value),
                _ => {
                    let content = match value {
                        "" => Content::Integer(label.num),
                        _ => Content::Text(value),
                    };
                    let attribute = builder.attribute(key, content);
                    match of_resource(key) {
                        true => found.resource.push(attribute),
                        false => attributes.push(attribute),
                    }
                }
            }
        }
        let link = trace.zip(span);
        if link.is_some() || !attributes.is_empty() {
            found.context = builder.profile.context(Context {
                link: link.map(|(trace_id, span_id)| Link { trace_id, span_id }),
                attributes: attributes.into(),
            });
        }
        Ok(found)
    }
}

/// Whether an attribute is one of processes by OpenTelemetry's conventions; pprof has labels of
/// samples only.
fn of_resource(key: &str) -> bool {
    const NAMESPACES: [&str; 8] = [
        "service.",
        "container.",
        "k8s.",
        "host.",
        "process.",
        "deployment.",
        "telemetry.",
        "cloud.",
    ];
    NAMESPACES.iter().any(|space| key.starts_with(space))
}

/// The bytes that exactly as many hex digits stand for.
fn bytes_of<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

fn text(message: &message::Profile, place: i64) -> Result<&str, ReadError> {
    let found = usize::try_from(place).ok();
    let found = found.and_then(|place| message.string_table.get(place));
    match found {
        Some(text) => Ok(text),
        // A message without a table has no texts.
        None if place == 0 => Ok(""),
        None => Err(ReadError::Missing {
            what: "string",
            index: place,
        }),
    }
}

fn missing(what: &'static str, id: u64) -> ReadError {
    ReadError::Missing {
        what,
        index: i64::try_from(id).unwrap_or(i64::MAX),
    }
}
