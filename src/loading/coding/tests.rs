use super::*;
use flate2::{Compression, Crc};
use std::io::Write;

/// What the reference implementation makes of `text(200)`, at its best.
const BROTLI_TEXT: &str = "\
    135f21409c0976ac3b88a8a91bcee7460b535d8880c8c9d7b2065128635b666e0d52263707feffff9ea6771f \
    faefab0f5e6be3c11149b32cb156e28301b63c8fb124d3a66f7acffe051ffc5e127cfbf6871f9aff73941ff5 \
    860f72f4a0671eecf8978c6697dac972326fe9ce2de3e9f2f8457c7c15865b116d6d669be26d336ba525db0d \
    6f7b9db323d3657809d600dc9a687b9eb1abe2edcbac8d966c5fe6d9a772dbf3549e790d6c01b80d477f2564 \
    65b6576cb961adb4c9b6e1d949396b9bca158f610384db23b22f66ecb9d87632db0a5a62c9f0ac50ce0e4ca5 \
    c1b3b00b401b10d90733f6506ccbccb6032db19cf0ac5cce4e4ca58f27b001a07d22b26733b6e9b8351ad64a \
    4bec6c78d657ce46a6f285e7c11618b60b13599e193b2ab67e616db4c4be179ead3ad706672a659e833500ed \
    86c83e99b1771db70f1bd64a4bec343cbb29679f4d65c5ab688f00b43a22eb98b171b1bdc96c5b688915c3b3 \
    46391b98ca033f89693778190eb5c0481bcee8a0b13e86ad096da235c9d376733a716aef78885a04423d62a4 \
    d7cee897c6ba0d5b8fb489f6264fe79ad395696b86b7a00d843a66a4efccd44b35d6f392d5d126fa5e7875a8 \
    e6f49c531bf31ee802b07e0c236d39a3738d75376c7dd226da4d9e7e295717766a47bc0d1d20d4771c3d2d30 \
    ce68bbb17e13b626b4891e264f07cde9c2b495c07ba11708f581a81ec2196d34d68f616b439be899e4e9b839 \
    dd98b6abe31de800a1ae88eac8cee84d637d0d5b3f6913bd9b3c7d57ae3ec9a9ddf07ed005605d9991de7346 \
    571d3f3dd04b56479be8bef06a8e9ad339d35630ef833610ea17a27a2867b4afb1be0d5b5bda446f93a79b72 \
    f58e9dda279ea20e8150fb18e98b99fac98d75266c7dd026da4c9e3e94ab2b387d7b40";
/// 10 MiB of zeros.
const BROTLI_ZEROS: &str = "cbffff3ff82700e2b14020f7fe2fffff3ff04f00c4611180eefd07";
/// The first 100 bytes of `text(200)` with a window of 2 to the power of 30.
const BROTLI_LARGE_WINDOW: &str = "\
    115e8c01e01728b7754bba103731d9e2e04dc3810e1c727ae66fa90418309629a8814aeac636465477ea5387 \
    901e75c7e4468687ceb405";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

fn text(lines: u32) -> Vec<u8> {
    let line = |i| format!("line {i}: {} bottles of beer on the wall\n", i * i);
    (0..lines).map(line).collect::<String>().into_bytes()
}

fn random(length: usize, mut seed: u64) -> Vec<u8> {
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    })
    .take(length)
    .collect()
}

fn samples() -> Vec<Vec<u8>> {
    vec![
        b"x".to_vec(),
        text(200),
        random(20_000, 1),
        vec![0; 40_000],
        Vec::new(),
    ]
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Brotli without compression.
fn brotli(data: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    if data.is_empty() {
        // A window of 2 to the power of 16, the last meta-block, which is empty.
        return vec![0b110];
    }
    for (index, block) in data.chunks(1 << 16).enumerate() {
        // Not the last one, four digits of length, uncompressed.
        let header = (block.len() as u32 - 1) << 3 | 1 << 19;
        let header = if index == 0 { header << 1 } else { header };
        encoded.extend(header.to_le_bytes().iter().take(3));
        encoded.extend(block);
    }
    encoded.push(0b11);
    encoded
}

type Encode = fn(&[u8]) -> Vec<u8>;
const CODINGS: [(&str, Encode); 5] = [
    ("gzip", gzip),
    ("deflate", zlib),
    ("deflate", raw_deflate),
    ("br", brotli),
    ("zstd", zstd),
];

fn decoder(coding: &str) -> Decoder {
    Decoder::for_content_encoding(coding).unwrap().unwrap()
}

/// Decodes a body that arrives in pieces, as a loader does. Checks every promise on the way.
fn decode_in(
    coding: &str,
    body: &[u8],
    piece: usize,
    limit: usize,
) -> Result<Vec<u8>, CodingError> {
    let mut decoder = decoder(coding);
    let mut decoded = Vec::new();
    for mut input in body.chunks(piece) {
        let mut turns = 0;
        loop {
            let before = decoded.len();
            let (consumed, status) = decoder.decode(input, &mut decoded, limit)?;
            let made = decoded.len() - before;
            assert!(made <= limit);
            input = &input[consumed..];
            turns = if made + consumed == 0 { turns + 1 } else { 0 };
            assert!(turns < 3, "no progress");
            if status != Status::OutputFull {
                assert!(input.is_empty(), "{status:?} with input left");
                break;
            }
        }
    }
    let before = decoded.len();
    for _ in 0..40 {
        let (consumed, status) = decoder.decode(&[], &mut decoded, limit)?;
        assert_eq!((consumed, decoded.len()), (0, before));
        assert_ne!(status, Status::OutputFull);
    }
    decoder.finish().map(|()| decoded)
}

fn decode(coding: &str, body: &[u8]) -> Result<Vec<u8>, CodingError> {
    decode_in(coding, body, usize::MAX, usize::MAX)
}

#[test]
fn decoders_can_be_sent() {
    fn check<T: Send>() {}
    check::<Decoder>();
    check::<CodingError>();
}

#[test]
fn every_split_gives_the_same() {
    for (coding, encode) in CODINGS {
        for sample in samples() {
            let body = encode(&sample);
            for (piece, limit) in [
                (usize::MAX, usize::MAX),
                (1, 1),
                (1, usize::MAX),
                (usize::MAX, 1),
                (2, 3),
                (3, 2),
                (7, 1000),
                (1000, 7),
                (4096, STAGE_BUFFER),
                (STAGE_BUFFER + 1, STAGE_BUFFER + 1),
                (65_536, 65_536),
            ] {
                let decoded = decode_in(coding, &body, piece, limit);
                assert!(decoded.as_ref() == Ok(&sample), "{coding} {piece} {limit}");
            }
        }
    }
}

#[test]
fn compressed_brotli() {
    let body = unhex(BROTLI_TEXT);
    for (piece, limit) in [
        (usize::MAX, usize::MAX),
        (1, 1),
        (1, 1000),
        (100, 1),
        (7, 11),
    ] {
        assert_eq!(decode_in("br", &body, piece, limit), Ok(text(200)));
    }
    for end in 1..body.len() {
        assert_eq!(
            decode("br", &body[..end]),
            Err(CodingError::Truncated),
            "{end}"
        );
    }
    let zeros = decode("br", &unhex(BROTLI_ZEROS)).unwrap();
    assert!(zeros.len() == 10 << 20 && zeros.iter().all(|&byte| byte == 0));
}

#[test]
fn names() {
    for value in [
        "",
        " ",
        ",",
        "identity",
        "Identity",
        " identity , ",
        "none",
        "identity,,none",
    ] {
        assert!(
            Decoder::for_content_encoding(value).unwrap().is_none(),
            "{value}"
        );
    }
    for (value, stages) in [
        ("gzip", "[\"gzip\"]"),
        ("GZIP", "[\"gzip\"]"),
        ("X-GZip", "[\"gzip\"]"),
        ("deflate", "[\"deflate\"]"),
        ("Br", "[\"br\"]"),
        ("zstd", "[\"zstd\"]"),
        ("\tgzip , identity,,br,", "[\"br\", \"gzip\"]"),
    ] {
        assert_eq!(format!("{:?}", decoder(value)), stages, "{value}");
    }
    for (value, name) in [
        ("compress", "compress"),
        ("gzip, sdch", "sdch"),
        ("gzip;q=1", "gzip;q=1"),
        ("dcb", "dcb"),
        ("*", "*"),
        ("gzip br", "gzip br"),
    ] {
        assert_eq!(
            Decoder::for_content_encoding(value).err(),
            Some(CodingError::Unknown(name.to_owned()))
        );
    }
    assert!(Decoder::for_content_encoding("gzip,br,zstd,deflate").is_ok());
    assert!(matches!(
        Decoder::for_content_encoding("gzip,gzip,gzip,gzip,gzip"),
        Err(CodingError::Corrupt(_))
    ));
    for name in ACCEPT_ENCODING.to_str().unwrap().split(", ") {
        assert_eq!(format!("{:?}", decoder(name)), format!("[\"{name}\"]"));
    }
}

#[test]
fn empty_bodies() {
    for (coding, _) in CODINGS {
        assert_eq!(decode(coding, b""), Ok(Vec::new()), "{coding}");
        assert_eq!(decoder(coding).finish(), Ok(()));
    }
    assert_eq!(decode("gzip, br, zstd", b""), Ok(Vec::new()));
}

#[test]
fn every_truncation_is_found() {
    for (coding, encode) in CODINGS {
        for sample in [Vec::new(), b"x".to_vec(), text(30)] {
            let body = encode(&sample);
            for end in 1..body.len() {
                let truncated = decode_in(coding, &body[..end], 5, 100);
                assert_eq!(truncated, Err(CodingError::Truncated), "{coding} {end}");
            }
        }
    }
}

#[test]
fn what_came_before_a_truncation_is_delivered() {
    let sample = text(2000);
    for (coding, encode) in CODINGS {
        let body = encode(&sample);
        let mut decoded = Vec::new();
        decoder(coding)
            .decode(&body[..body.len() - 1], &mut decoded, usize::MAX)
            .unwrap();
        assert!(
            decoded.len() * 10 > sample.len() * 9,
            "{coding}: {}",
            decoded.len()
        );
        assert!(sample.starts_with(&decoded));
    }
}

#[test]
fn damage_is_found_or_harmless() {
    let sample = text(10);
    for (coding, encode) in CODINGS {
        let body = encode(&sample);
        for index in 0..body.len() {
            for mask in [1, 0x10, 0x80, 0xff] {
                let mut body = body.clone();
                body[index] ^= mask;
                let whole = decode(coding, &body);
                let split = decode_in(coding, &body, 1, 1);
                assert_eq!(whole, split, "{coding} {index} {mask}");
                // A bare deflate stream and brotli have no checksum.
                if coding != "br" && !(coding == "deflate" && body[0] & 0xf != 8) {
                    assert!(
                        whole.is_err() || whole == Ok(sample.clone()),
                        "{coding} {index}"
                    );
                }
            }
        }
    }
}

#[test]
fn garbage_is_refused() {
    for (coding, _) in CODINGS {
        for seed in 0..3000 {
            let garbage = random(200, seed);
            let whole = decode_in(coding, &garbage, usize::MAX, 100_000);
            assert_eq!(
                whole.is_ok(),
                decode_in(coding, &garbage, 3, 1000).is_ok(),
                "{seed}"
            );
            // A bare deflate stream or brotli can end anywhere, a checked format cannot.
            assert!(
                whole.is_err() || matches!(coding, "deflate" | "br"),
                "{coding} {seed}"
            );
        }
        assert!(matches!(
            decode(coding, b"<html></html>"),
            Err(CodingError::Corrupt(_))
        ));
    }
}

#[test]
fn gzip_members_follow_each_other() {
    let parts = [
        text(50),
        Vec::new(),
        b"x".to_vec(),
        vec![0; 40_000],
        Vec::new(),
    ];
    let body: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
    for (piece, limit) in [(usize::MAX, usize::MAX), (1, 1), (1, 100), (1000, 1)] {
        assert_eq!(decode_in("gzip", &body, piece, limit), Ok(parts.concat()));
    }
    let first = gzip(b"a").len();
    let two = [gzip(b"a"), gzip(b"b")].concat();
    for end in first + 1..two.len() {
        assert_eq!(
            decode("gzip", &two[..end]),
            Err(CodingError::Truncated),
            "{end}"
        );
    }
    let mut broken = two;
    broken[first + 12] ^= 0xff;
    assert!(matches!(
        decode("gzip", &broken),
        Err(CodingError::Corrupt(_))
    ));
}

#[test]
fn zstd_frames_follow_each_other() {
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let empty_skippable = vec![0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    let body = [
        skippable.clone(),
        zstd(&text(50)),
        empty_skippable.clone(),
        empty_skippable,
        zstd(b""),
        zstd(&[7; 40_000]),
        skippable,
    ]
    .concat();
    let expected = [text(50), vec![7; 40_000]].concat();
    for (piece, limit) in [(usize::MAX, usize::MAX), (1, 1), (1, 100), (1000, 1)] {
        assert_eq!(decode_in("zstd", &body, piece, limit), Ok(expected.clone()));
    }
    let first = zstd(b"a").len();
    let two = [zstd(b"a"), zstd(b"b")].concat();
    for end in first + 1..two.len() {
        assert_eq!(
            decode("zstd", &two[..end]),
            Err(CodingError::Truncated),
            "{end}"
        );
    }
}

#[test]
fn what_follows_the_end_is_ignored() {
    for (coding, encode) in CODINGS {
        for garbage in [
            &b"garbage"[..],
            &[0; 100],
            &[0x1f, 0x8c],
            &[0x28, 0xb5, 0, 0],
            b"\n",
        ] {
            let body = [&encode(b"text")[..], garbage].concat();
            for (piece, limit) in [(usize::MAX, usize::MAX), (1, 1), (3, 4)] {
                let decoded = decode_in(coding, &body, piece, limit);
                assert_eq!(decoded.as_deref(), Ok(&b"text"[..]), "{coding} {garbage:?}");
            }
            let mut decoder = decoder(coding);
            let mut decoded = Vec::new();
            let end = decoder.decode(&body, &mut decoded, 1000);
            assert_eq!(
                end,
                Ok((body.len(), Status::Finished)),
                "{coding} {garbage:?}"
            );
            let again = decoder.decode(b"more", &mut decoded, 0);
            assert_eq!(again, Ok((4, Status::Finished)));
        }
    }
}

#[test]
fn gzip_header_fields() {
    let plain = gzip(b"text");
    let (start, rest) = (&plain[..10], &plain[10..]);
    let extra = [&[5, 0][..], b"extra"].concat();
    for flags in 0..32u8 {
        let mut header = start.to_vec();
        header[3] = flags;
        if flags & 4 != 0 {
            header.extend(if flags & 1 == 0 { &extra[..] } else { &[0, 0] });
        }
        if flags & 8 != 0 {
            header.extend(if flags & 1 == 0 {
                &b"name\0"[..]
            } else {
                b"\0"
            });
        }
        if flags & 16 != 0 {
            header.extend(b"a comment\0");
        }
        if flags & 2 != 0 {
            let mut crc = Crc::new();
            crc.update(&header);
            header.extend(&crc.sum().to_le_bytes()[..2]);
        }
        let body = [&header[..], rest].concat();
        assert_eq!(decode("gzip", &body), Ok(b"text".to_vec()), "{flags}");
        let twice = [&body[..], &body].concat();
        assert_eq!(
            decode_in("gzip", &twice, 1, 1),
            Ok(b"texttext".to_vec()),
            "{flags}"
        );
        for end in 1..body.len() {
            let truncated = decode("gzip", &body[..end]);
            assert_eq!(truncated, Err(CodingError::Truncated), "{flags} {end}");
        }
        if flags & 2 != 0 {
            let mut body = body;
            body[header.len() - 1] ^= 1;
            let error = CodingError::Corrupt("wrong gzip header checksum");
            assert_eq!(decode("gzip", &body), Err(error));
        }
    }
    for flags in [0x20, 0x40, 0x80] {
        let mut body = plain.clone();
        body[3] = flags;
        assert!(matches!(
            decode("gzip", &body),
            Err(CodingError::Corrupt(_))
        ));
    }
    let mut longest = [start, &[0xff; 2], &[1; 0xffff], rest].concat();
    longest[3] = 4;
    assert_eq!(decode_in("gzip", &longest, 1000, 1), Ok(b"text".to_vec()));
}

#[test]
fn gzip_trailer_is_checked() {
    let body = gzip(b"text");
    for index in body.len() - 8..body.len() {
        let mut body = body.clone();
        body[index] ^= 1;
        let error = CodingError::Corrupt("wrong gzip checksum or length");
        assert_eq!(decode("gzip", &body), Err(error));
    }
}

#[test]
fn both_kinds_of_deflate() {
    // Stored, fixed and dynamic blocks.
    for level in [0, 1, 9] {
        for sample in [&b""[..], b"x", &text(300)] {
            let mut encoder =
                flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(sample).unwrap();
            let raw = encoder.finish().unwrap();
            assert_eq!(decode_in("deflate", &raw, 1, 100).as_deref(), Ok(sample));
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(sample).unwrap();
            let zlib = encoder.finish().unwrap();
            assert_eq!(decode_in("deflate", &zlib, 1, 100).as_deref(), Ok(sample));
        }
    }
    // A stored block whose padding looks like a zlib header, but for the checksum.
    let odd = [0x08, 1, 0, 0xfe, 0xff, b'x', 3, 0];
    for piece in [1, 2, 8] {
        assert_eq!(decode_in("deflate", &odd, piece, 1), Ok(b"x".to_vec()));
    }
    // A preset dictionary, which nobody agreed on.
    let dictionary = [0x78, 0xbb, 0, 0, 0, 0, 3, 0];
    assert!(matches!(
        decode("deflate", &dictionary),
        Err(CodingError::Corrupt(_))
    ));
}

#[test]
fn windows_are_limited() {
    let large = decode("br", &unhex(BROTLI_LARGE_WINDOW));
    assert_eq!(large, Err(CodingError::Corrupt("invalid brotli data")));
    // A frame header with a window descriptor, then a raw block of one byte, the last.
    let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 9, 0, 0, b'x'];
    assert_eq!(decode("zstd", &frame(13)), Ok(b"x".to_vec()));
    for exponent in [14, 17, 31] {
        let error = CodingError::Corrupt("invalid zstd data");
        assert_eq!(decode("zstd", &frame(exponent)), Err(error), "{exponent}");
    }
}

#[test]
fn chains() {
    let sample = [text(100), vec![0; 20_000], random(3000, 7)].concat();
    let large = [vec![0; 100_000], random(40_000, 7)].concat();
    for (first, encode_first) in CODINGS {
        for (second, encode_second) in CODINGS {
            let coding = format!("{first}, {second}");
            let body = encode_second(&encode_first(&large));
            for (piece, limit) in [(usize::MAX, usize::MAX), (20_000, 5000)] {
                let decoded = decode_in(&coding, &body, piece, limit);
                assert!(decoded.as_ref() == Ok(&large), "{coding} {piece} {limit}");
            }
            let body = encode_second(&encode_first(&sample));
            for (piece, limit) in [(100, 100), (1, 1000)] {
                let decoded = decode_in(&coding, &body, piece, limit);
                assert!(decoded.as_ref() == Ok(&sample), "{coding} {piece} {limit}");
            }
            for end in [1, body.len() / 2, body.len() - 1] {
                let truncated = decode(&coding, &body[..end]);
                assert_eq!(truncated, Err(CodingError::Truncated), "{coding} {end}");
            }
        }
    }
    let body = zstd(&brotli(&zlib(&gzip(&sample))));
    let decoded = decode_in("gzip, identity, deflate, br, zstd", &body, 1, 10);
    assert!(decoded == Ok(sample));
}

#[test]
fn a_chain_checks_every_coding_to_its_end() {
    // The inner stream ends before the outer one, whose checksum is wrong.
    let mut body = gzip(&[&zlib(b"text")[..], b"garbage"].concat());
    assert_eq!(decode("deflate, gzip", &body), Ok(b"text".to_vec()));
    let crc = body.len() - 8;
    body[crc] ^= 1;
    for piece in [1, 3, usize::MAX] {
        let result = decode_in("deflate, gzip", &body, piece, 2);
        assert!(matches!(result, Err(CodingError::Corrupt(_))), "{piece}");
    }
}

#[test]
fn bombs_decode_piece_by_piece() {
    let zeros = vec![0; 1 << 20];
    let bombs = [
        ("gzip", gzip(&zeros), 1 << 20),
        ("deflate", zlib(&zeros), 1 << 20),
        ("br", unhex(BROTLI_ZEROS), 10 << 20),
        ("zstd", zstd(&zeros), 1 << 20),
        ("gzip, gzip", gzip(&gzip(&zeros)), 1 << 20),
    ];
    for (coding, bomb, length) in bombs {
        let mut decoder = decoder(coding);
        let mut input = &bomb[..];
        let mut output = Vec::new();
        let mut total = 0;
        loop {
            output.clear();
            let (consumed, status) = decoder.decode(input, &mut output, 5000).unwrap();
            input = &input[consumed..];
            total += output.len();
            assert!(output.len() <= 5000 && output.capacity() < 64 * 1024);
            if status != Status::OutputFull {
                break;
            }
        }
        assert_eq!(total, length, "{coding}");
        assert_eq!(decoder.finish(), Ok(()));
    }
}

#[test]
fn a_bomb_that_comes_to_nothing_gives_the_caller_a_turn() {
    let nothing = gzip(b"").repeat(200_000);
    let bomb = gzip(&nothing);
    let mut decoder = decoder("gzip, gzip");
    let mut input = &bomb[..];
    let mut output = Vec::new();
    let mut turns = 0;
    loop {
        let (consumed, status) = decoder.decode(input, &mut output, 1000).unwrap();
        input = &input[consumed..];
        if status != Status::OutputFull {
            break;
        }
        turns += 1;
    }
    assert_eq!(turns, nothing.len() / (MAX_WORK + 1));
    assert!(output.is_empty());
    assert_eq!(decoder.finish(), Ok(()));
}

/// A few hundred bytes that become gigabytes inside, and nothing outside.
#[test]
fn a_chain_that_only_costs_time_is_refused() {
    let mut endless_name = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    endless_name.resize(1 << 30, b'x');
    let inner = gzip(&endless_name);
    drop(endless_name);
    let bomb = gzip(&gzip(&inner));
    assert!(bomb.len() < 4096);
    let mut decoder = decoder("gzip, gzip, gzip, gzip");
    let mut input = &bomb[..];
    let mut output = Vec::new();
    let mut turns = 0;
    let error = loop {
        match decoder.decode(input, &mut output, 1000) {
            Ok((consumed, Status::OutputFull)) => {
                input = &input[consumed..];
                turns += 1;
            }
            Ok((_, status)) => panic!("{status:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, CodingError::Corrupt("its codings expand to nothing"));
    assert!(turns <= MAX_WASTE / MAX_WORK as u64);
    assert!(output.is_empty());
}

#[test]
fn nothing_is_made_without_room() {
    for (coding, encode) in CODINGS {
        let body = encode(&text(10));
        let mut decoder = decoder(coding);
        let mut output = b"kept".to_vec();
        let (consumed, status) = decoder.decode(&body, &mut output, 0).unwrap();
        assert_eq!((consumed, status), (0, Status::OutputFull));
        let (consumed, _) = decoder.decode(&body, &mut output, usize::MAX).unwrap();
        assert_eq!(consumed, body.len());
        assert_eq!(output, [&b"kept"[..], &text(10)].concat(), "{coding}");
    }
}
