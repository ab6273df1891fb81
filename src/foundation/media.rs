//! Media types and file names.

use url::Url;

/// The longest name that Linux file systems take, in bytes.
const NAME_MAX: usize = 255;

/// What a file is called when nothing else is known: Apple's word.
const UNKNOWN: &str = "Unknown";

/// Takes a Content-Type field apart: the media type in lower case without its parameters, and the
/// charset as sent but unquoted.
///
/// Each part is `None` when it is missing or malformed; of several charsets the first one counts.
pub fn parse_content_type(value: &str) -> (Option<String>, Option<String>) {
    let (media_type, parameters) = value.split_once(';').unwrap_or((value, ""));
    // Fields sent twice arrive as one with a comma; the first one counts.
    let media_type = media_type.split(',').next().unwrap_or_default().trim();
    let well_formed = media_type
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    let charset = Parameters(parameters)
        .find(|(name, _)| name == "charset")
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty());
    (
        well_formed.then(|| media_type.to_ascii_lowercase()),
        charset,
    )
}

/// The media type that the extension of the URL's path stands for.
pub fn guess_type(url: &Url) -> Option<&'static str> {
    let name = last_component(url)?;
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty())
        .then(|| mime_guess::from_ext(extension).first_raw())
        .flatten()
}

/// `-[NSURLResponse suggestedFilename]`: the name that Content-Disposition gives, else the URL's
/// last path component, else its host, else "Unknown"; with an extension for the media type when
/// the name has none.
///
/// Whatever came from the server, the name is a plain one: without a slash or control characters,
/// not hidden, not empty, at most 255 bytes.
pub fn suggested_filename(
    content_disposition: Option<&str>,
    url: Option<&Url>,
    mime: Option<&str>,
) -> String {
    let named = content_disposition
        .and_then(disposition_filename)
        .and_then(|name| sanitize(name.rsplit(['/', '\\']).next().unwrap_or_default()));
    let named = named.or_else(|| sanitize(&last_component(url?)?));
    // A host's last label is no extension.
    let (mut name, extension) = match named.map(split_extension) {
        Some((stem, Some(extension))) => (stem, Some(extension)),
        Some((stem, None)) => (stem, None),
        None => {
            let host = url.and_then(Url::host_str).unwrap_or_default();
            (
                sanitize(host.trim_matches(['[', ']'])).unwrap_or_else(|| UNKNOWN.to_owned()),
                None,
            )
        }
    };
    let extension = extension.or_else(|| preferred_extension(mime?).map(str::to_owned));
    let room = NAME_MAX
        - extension
            .as_ref()
            .map_or(0, |extension| extension.len() + 1);
    let mut end = name.len().min(room);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    if let Some(extension) = extension {
        name.push('.');
        name.push_str(&extension);
    }
    name
}

/// The extension for a media type, without a dot.
///
/// A table of our own: mime_guess knows many extensions for a type and has no favourite among them
/// (the first one for text/plain is "asm").
fn preferred_extension(mime: &str) -> Option<&'static str> {
    let (media_type, _) = parse_content_type(mime);
    let media_type = media_type?;
    Some(match media_type.as_str() {
        "application/atom+xml" => "atom",
        "application/epub+zip" => "epub",
        "application/geo+json" => "geojson",
        "application/gzip" | "application/x-gzip" => "gz",
        "application/java-archive" => "jar",
        "application/javascript" | "application/x-javascript" | "text/javascript" => "js",
        "application/json" | "text/json" => "json",
        "application/ld+json" => "jsonld",
        "application/manifest+json" => "webmanifest",
        "application/msword" => "doc",
        "application/ogg" => "ogx",
        "application/pdf" => "pdf",
        "application/pgp-signature" => "asc",
        "application/postscript" => "ps",
        "application/rss+xml" => "rss",
        "application/rtf" | "text/rtf" => "rtf",
        "application/sql" => "sql",
        "application/toml" => "toml",
        "application/vnd.android.package-archive" => "apk",
        "application/vnd.apple.mpegurl" | "application/x-mpegurl" => "m3u8",
        "application/vnd.debian.binary-package" | "application/x-debian-package" => "deb",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.ms-fontobject" => "eot",
        "application/vnd.ms-powerpoint" => "ppt",
        "application/vnd.oasis.opendocument.presentation" => "odp",
        "application/vnd.oasis.opendocument.spreadsheet" => "ods",
        "application/vnd.oasis.opendocument.text" => "odt",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => "pptx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.rar" | "application/x-rar-compressed" => "rar",
        "application/vnd.sqlite3" | "application/x-sqlite3" => "sqlite",
        "application/wasm" => "wasm",
        "application/x-7z-compressed" => "7z",
        "application/x-apple-diskimage" => "dmg",
        "application/x-bzip2" => "bz2",
        "application/x-iso9660-image" => "iso",
        "application/x-ndjson" | "application/jsonl" => "jsonl",
        "application/x-redhat-package-manager" | "application/x-rpm" => "rpm",
        "application/x-sh" | "text/x-shellscript" => "sh",
        "application/x-tar" => "tar",
        "application/x-xz" => "xz",
        "application/xhtml+xml" => "xhtml",
        "application/xml" | "text/xml" => "xml",
        "application/yaml" | "application/x-yaml" | "text/yaml" => "yaml",
        "application/zip" | "application/x-zip-compressed" => "zip",
        "application/zstd" => "zst",
        "audio/aac" => "aac",
        "audio/aiff" | "audio/x-aiff" => "aiff",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/midi" => "mid",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/ogg" => "ogg",
        "audio/opus" => "opus",
        "audio/wav" | "audio/x-wav" | "audio/vnd.wave" => "wav",
        "audio/webm" => "weba",
        "font/otf" => "otf",
        "font/ttf" => "ttf",
        "font/woff" => "woff",
        "font/woff2" => "woff2",
        "image/apng" => "apng",
        "image/avif" => "avif",
        "image/bmp" => "bmp",
        "image/gif" => "gif",
        "image/heic" => "heic",
        "image/jpeg" => "jpeg",
        "image/jxl" => "jxl",
        "image/png" => "png",
        "image/svg+xml" => "svg",
        "image/tiff" => "tiff",
        "image/vnd.microsoft.icon" | "image/x-icon" => "ico",
        "image/webp" => "webp",
        "message/rfc822" => "eml",
        "model/gltf-binary" => "glb",
        "text/calendar" => "ics",
        "text/css" => "css",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/markdown" => "md",
        "text/plain" => "txt",
        "text/tab-separated-values" => "tsv",
        "text/vcard" | "text/x-vcard" => "vcf",
        "text/vtt" => "vtt",
        "video/3gpp" => "3gp",
        "video/mp2t" => "ts",
        "video/mp4" => "mp4",
        "video/mpeg" => "mpeg",
        "video/ogg" => "ogv",
        "video/quicktime" => "mov",
        "video/webm" => "webm",
        "video/x-m4v" => "m4v",
        "video/x-matroska" => "mkv",
        "video/x-msvideo" => "avi",
        _ => return None,
    })
}

/// The URL's last path component that is not empty, percent-decoded.
fn last_component(url: &Url) -> Option<String> {
    let segment = url
        .path_segments()?
        .rev()
        .find(|segment| !segment.is_empty())?;
    let bytes = percent_decode(segment);
    Some(String::from_utf8(bytes).unwrap_or_else(|error| from_latin1(error.as_bytes())))
}

/// The file name of a Content-Disposition field (RFC 6266), as sent.
fn disposition_filename(value: &str) -> Option<String> {
    // Some servers leave out the disposition type.
    let start = value.split(';').next().unwrap_or_default();
    let parameters = if start.contains('=') {
        value
    } else {
        value.get(start.len() + 1..)?
    };
    let mut plain = None;
    for (name, value) in Parameters(parameters) {
        // filename* can say more than filename, which is then there for old programs.
        match name.as_str() {
            "filename*" => match extended_value(&value) {
                Some(value) if !value.is_empty() => return Some(value),
                _ => {}
            },
            "filename" if plain.is_none() && !value.is_empty() => plain = Some(value),
            _ => {}
        }
    }
    plain
}

/// An extended parameter value (RFC 8187): charset'language'percent-encoded.
fn extended_value(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes = percent_decode(encoded);
    if charset.eq_ignore_ascii_case("UTF-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case("ISO-8859-1") {
        Some(from_latin1(&bytes))
    } else {
        None
    }
}

/// Makes a name one that can stand in a folder; `None` when nothing is left of it.
fn sanitize(name: &str) -> Option<String> {
    let name: String = name
        .chars()
        .filter(|&c| !c.is_control() && !is_invisible(c))
        .map(|c| if matches!(c, '/' | '\\') { '_' } else { c })
        .collect();
    // Leading dots hide a file, or lead out of the folder.
    let name = name
        .trim_start_matches(|c: char| c == '.' || c.is_whitespace())
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    (!name.is_empty()).then(|| name.to_owned())
}

/// Characters that change how a name looks, so that an extension can pass for another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Splits a name at its last dot when what follows can be an extension.
fn split_extension(name: String) -> (String, Option<String>) {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if (1..=16).contains(&extension.len())
                && extension
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-+~".contains(&b)) =>
        {
            (stem.to_owned(), Some(extension.to_owned()))
        }
        _ => (name, None),
    }
}

/// Parameters after the first semicolon of a field: names in lower case, values unquoted.
///
/// Takes what is sent in practice: spaces around "=", unquoted values with spaces, a quoted string
/// without its end.
struct Parameters<'a>(&'a str);

impl Iterator for Parameters<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.0.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(['=', ';']).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            let Some(rest) = rest.strip_prefix('=') else {
                self.0 = rest;
                continue;
            };
            let rest = rest.trim_start_matches([' ', '\t']);
            let (value, rest) = match rest.strip_prefix('"') {
                Some(quoted) => unquote(quoted),
                None => {
                    let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                    (value.trim().to_owned(), rest)
                }
            };
            self.0 = rest;
            return Some((name.trim().to_ascii_lowercase(), value));
        }
    }
}

/// The quoted string that `text` begins with (after its first quote), and what follows the next
/// semicolon.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    let rest = chars.as_str();
    (value, rest.find(';').map_or("", |index| &rest[index..]))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Decodes %XX; a percent sign without two hexadecimal digits stays as it is.
fn percent_decode(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let digits = (hex(bytes.get(index + 1)), hex(bytes.get(index + 2)));
        match (byte, digits) {
            (b'%', (Some(high), Some(low))) => {
                decoded.push((high * 16 + low) as u8);
                index += 3;
            }
            _ => {
                decoded.push(byte);
                index += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(disposition: &str) -> String {
        suggested_filename(Some(disposition), None, None)
    }

    fn name_of_url(url: &str, mime: &str) -> String {
        suggested_filename(None, Some(&Url::parse(url).unwrap()), Some(mime))
    }

    #[test]
    fn content_types() {
        for (value, media_type, charset) in [
            ("text/html", Some("text/html"), None),
            ("Text/HTML; Charset=UTF-8", Some("text/html"), Some("UTF-8")),
            (
                "text/html;charset=\"utf-8\"",
                Some("text/html"),
                Some("utf-8"),
            ),
            (
                "text/html ; a=b ; charset = \"x\\\"y;z\" ; q",
                Some("text/html"),
                Some("x\"y;z"),
            ),
            (
                "text/html; charset=a; charset=b",
                Some("text/html"),
                Some("a"),
            ),
            ("text/html; xcharset=a", Some("text/html"), None),
            ("text/html; title=\"; charset=a\"", Some("text/html"), None),
            ("text/html; charset=", Some("text/html"), None),
            ("text/html; charset=\"\"", Some("text/html"), None),
            (
                "text/html; charset=\"utf-8",
                Some("text/html"),
                Some("utf-8"),
            ),
            ("text/html; charset=\"a\\", Some("text/html"), Some("a")),
            ("text/html;;; ;charset=a;", Some("text/html"), Some("a")),
            ("text/html, text/plain", Some("text/html"), None),
            ("  image/svg+xml  ", Some("image/svg+xml"), None),
            (
                "application/vnd.x.y-z+json",
                Some("application/vnd.x.y-z+json"),
                None,
            ),
            ("", None, None),
            ("html", None, None),
            ("text/", None, None),
            ("/html", None, None),
            ("text/html/x", None, None),
            ("te xt/html", None, None),
            ("; charset=a", None, Some("a")),
            ("\"", None, None),
            ("=", None, None),
        ] {
            let parsed = parse_content_type(value);
            assert_eq!(
                (parsed.0.as_deref(), parsed.1.as_deref()),
                (media_type, charset),
                "{value}"
            );
        }
    }

    #[test]
    fn guessed_types() {
        for (url, media_type) in [
            ("file:///a/page.html", Some("text/html")),
            ("file:///a/PAGE.HTML", Some("text/html")),
            ("file:///a/x.tar.gz", Some("application/gzip")),
            ("file:///a/x%2Ejson?y.png#z.css", Some("application/json")),
            ("file:///a/x.unheard-of", None),
            ("file:///a/html", None),
            ("file:///a/.html", None),
            ("file:///a.png/", Some("image/png")),
            ("file:///", None),
            ("data:text/plain,x.html", None),
        ] {
            assert_eq!(guess_type(&Url::parse(url).unwrap()), media_type, "{url}");
        }
    }

    #[test]
    fn names_from_content_disposition() {
        for (value, expected) in [
            ("attachment; filename=a.txt", "a.txt"),
            ("attachment; filename=\"a b.txt\"", "a b.txt"),
            ("ATTACHMENT;FILENAME = a.txt ; x=y", "a.txt"),
            ("inline; filename=a b.txt; x=y", "a b.txt"),
            (
                "attachment; filename=\"a \\\"b\\\";c.txt\"",
                "a \"b\";c.txt",
            ),
            ("attachment; filename=\"a.txt", "a.txt"),
            (
                "attachment; filename=\"a.txt\" junk; filename=b.txt",
                "a.txt",
            ),
            ("filename=a.txt", "a.txt"),
            ("attachment; filename=é.txt", "é.txt"),
            ("attachment; filename=a%20b.txt", "a%20b.txt"),
            (
                "attachment; filename*=UTF-8''%e2%82%ac%20rates.txt",
                "€ rates.txt",
            ),
            (
                "attachment; filename*=utf-8'en'a.txt; filename=b.txt",
                "a.txt",
            ),
            (
                "attachment; filename=b.txt; filename*=UTF-8''a.txt",
                "a.txt",
            ),
            (
                "attachment; filename*=iso-8859-1'en'%A3%20rates.txt",
                "£ rates.txt",
            ),
            ("attachment; filename*=\"UTF-8''a%20b.txt\"", "a b.txt"),
            (
                "attachment; filename=b.txt; filename*=UTF-8''%ff.txt",
                "b.txt",
            ),
            (
                "attachment; filename=b.txt; filename*=koi8-r''%c1.txt",
                "b.txt",
            ),
            ("attachment; filename=b.txt; filename*=a.txt", "b.txt"),
            ("attachment; filename=b.txt; filename*=UTF-8''", "b.txt"),
            ("attachment; filename=\"\"; filename=c.txt", "c.txt"),
            ("attachment; xfilename=a.txt", "Unknown"),
            ("attachment", "Unknown"),
            ("attachment;", "Unknown"),
            ("", "Unknown"),
            (";", "Unknown"),
            ("=", "Unknown"),
        ] {
            assert_eq!(name(value), expected, "{value}");
        }
    }

    #[test]
    fn names_are_harmless() {
        for (value, expected) in [
            ("attachment; filename=../../etc/passwd", "passwd"),
            ("attachment; filename=/etc/passwd", "passwd"),
            ("attachment; filename=\"C:\\\\dir\\\\a.txt\"", "a.txt"),
            ("attachment; filename*=UTF-8''..%2f..%2fa.txt", "a.txt"),
            ("attachment; filename=dir/", "Unknown"),
            ("attachment; filename=.", "Unknown"),
            ("attachment; filename=..", "Unknown"),
            ("attachment; filename=\" . .. \"", "Unknown"),
            ("attachment; filename=.htaccess", "htaccess"),
            ("attachment; filename=...a.txt..", "a.txt"),
            (
                "attachment; filename*=UTF-8''a%00b%0a%7f%c2%85.txt",
                "ab.txt",
            ),
            ("attachment; filename*=UTF-8''%2e%00%2e", "Unknown"),
            ("attachment; filename*=UTF-8''a%e2%80%aegpj.exe", "agpj.exe"),
            ("attachment; filename=\"\u{feff}.a\"", "a"),
        ] {
            assert_eq!(name(value), expected, "{value}");
        }
    }

    #[test]
    fn names_from_the_url() {
        for (url, mime, expected) in [
            ("https://a.example/dir/b.txt?q=c.d#e", "text/plain", "b.txt"),
            ("https://a.example/dir/", "text/html", "dir.html"),
            ("https://a.example/dir//", "text/html", "dir.html"),
            ("https://a.example/a%20b%c3%a9.txt", "text/html", "a bé.txt"),
            ("https://a.example/caf%e9.txt", "text/html", "café.txt"),
            (
                "https://a.example/AC%2fDC%5c.mp3",
                "audio/mpeg",
                "AC_DC_.mp3",
            ),
            (
                "https://a.example/%2e%2e%2f%2e%2e%2fpasswd",
                "x",
                "_.._passwd",
            ),
            ("https://a.example/100%", "text/plain", "100%.txt"),
            ("https://a.example/%2", "text/plain", "%2.txt"),
            ("https://a.example/%00", "text/html", "a.example.html"),
            ("https://a.example/", "text/html", "a.example.html"),
            ("https://a.example", "", "a.example"),
            ("https://[::1]/", "", "::1"),
            ("file:///", "", "Unknown"),
            ("file:///tmp/a", "application/json", "a.json"),
            ("data:text/plain,x", "text/plain", "Unknown.txt"),
        ] {
            assert_eq!(name_of_url(url, mime), expected, "{url} {mime}");
        }
        let url = Url::parse("https://a.example/b.txt").unwrap();
        assert_eq!(
            suggested_filename(Some("attachment"), Some(&url), None),
            "b.txt"
        );
        assert_eq!(
            suggested_filename(Some("inline; filename=.."), Some(&url), None),
            "b.txt"
        );
        assert_eq!(
            suggested_filename(Some("inline; filename=c"), Some(&url), None),
            "c"
        );
        assert_eq!(suggested_filename(None, None, None), "Unknown");
        assert_eq!(
            suggested_filename(None, None, Some("text/html")),
            "Unknown.html"
        );
    }

    #[test]
    fn extensions() {
        for (mime, expected) in [
            ("text/html; charset=utf-8", "a.html"),
            ("TEXT/PLAIN", "a.txt"),
            ("application/json", "a.json"),
            ("image/jpeg", "a.jpeg"),
            ("video/mp4", "a.mp4"),
            ("application/octet-stream", "a"),
            ("application/x-unheard-of", "a"),
            ("nonsense", "a"),
            ("", "a"),
        ] {
            assert_eq!(name_of_url("https://h/a", mime), expected, "{mime}");
        }
        for (name, expected) in [
            ("a.php", "a.php"),
            ("a.tar.gz", "a.tar.gz"),
            ("a.c++", "a.c++"),
            ("report.", "report.html"),
            ("Mr. Smith", "Mr. Smith.html"),
            ("v1.2 final", "v1.2 final.html"),
            (
                "a.thisisnotanextensionbutasentence",
                "a.thisisnotanextensionbutasentence.html",
            ),
        ] {
            let disposition = format!("attachment; filename=\"{name}\"");
            let suggested = suggested_filename(Some(&disposition), None, Some("text/html"));
            assert_eq!(suggested, expected);
        }
    }

    #[test]
    fn length_is_limited_between_characters_and_keeps_the_extension() {
        for (stem, extension, mime, expected_length) in [
            ("a".repeat(250), ".txt", "", 254),
            ("a".repeat(251), ".txt", "", 255),
            ("a".repeat(1000), ".txt", "", 255),
            ("a".repeat(1000), "", "", 255),
            ("a".repeat(1000), "", "text/html", 255),
            ("é".repeat(1000), ".txt", "", 254),
            ("é".repeat(1000), "", "", 254),
            ("€".repeat(1000), "", "text/html", 5 + 249),
            ("😀".repeat(1000), ".jpeg", "", 5 + 248),
        ] {
            let disposition = format!("attachment; filename=\"{stem}{extension}\"");
            let suggested = suggested_filename(Some(&disposition), None, Some(mime));
            assert_eq!(suggested.len(), expected_length, "{suggested}");
            let extension = if mime.is_empty() { extension } else { ".html" };
            let stem_left = suggested.strip_suffix(extension).unwrap();
            assert!(stem.starts_with(stem_left));
        }
    }

    /// Whatever is sent, the name can be used as it is.
    #[test]
    fn random_fields_give_valid_names() {
        let mut state = 1u64;
        let pieces = [
            "filename",
            "*",
            "=",
            ";",
            "\"",
            "\\",
            "/",
            "..",
            ".",
            " ",
            "'",
            "UTF-8''",
            "%",
            "%2f",
            "%00",
            "%ff",
            "a",
            "é",
            "\0",
            "\n",
            "attachment",
            "\u{202e}",
        ];
        for _ in 0..20_000 {
            let mut value = String::new();
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                value.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            let url = Url::parse(&format!("http://h/{value}")).ok();
            for name in [
                name(&value),
                suggested_filename(None, url.as_ref(), Some(&value)),
            ] {
                assert!(!name.is_empty() && name.len() <= 255, "{value:?}: {name:?}");
                assert!(!name.starts_with('.'), "{value:?}: {name:?}");
                assert!(!name.contains(['/', '\\', '\0']), "{value:?}: {name:?}");
                assert!(!name.chars().any(char::is_control), "{value:?}: {name:?}");
            }
            let _ = parse_content_type(&value);
        }
    }
}
