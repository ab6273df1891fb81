/*
 * nsurl's reports: a waterfall for a person, an HTTP Archive for the developer tools of a browser.
 * Both come from the metrics that the delegate gets at the end of each task.
 */
#define _POSIX_C_SOURCE 200809L
#include "nsurl_report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* ---- The waterfall --------------------------------------------------------------------------- */

struct phase {
    const char *name;
    char mark;
    double start, end; /* NaN: it did not happen, or did not end */
};

static size_t phases_of(nsurlsession_transaction_metrics_t *exchange, struct phase phases[6])
{
    double dns = nsurlsession_transaction_metrics_domain_lookup_start_date(exchange);
    double dns_end = nsurlsession_transaction_metrics_domain_lookup_end_date(exchange);
    double connect = nsurlsession_transaction_metrics_connect_start_date(exchange);
    double connected = nsurlsession_transaction_metrics_connect_end_date(exchange);
    double tls = nsurlsession_transaction_metrics_secure_connection_start_date(exchange);
    double tls_end = nsurlsession_transaction_metrics_secure_connection_end_date(exchange);
    double request = nsurlsession_transaction_metrics_request_start_date(exchange);
    double requested = nsurlsession_transaction_metrics_request_end_date(exchange);
    double response = nsurlsession_transaction_metrics_response_start_date(exchange);
    double responded = nsurlsession_transaction_metrics_response_end_date(exchange);
    const struct phase all[6] = {
        {"look up name", 'n', dns, dns_end},
        {"connect", 'c', connect, isnan(tls) ? connected : tls},
        {"TLS", 't', tls, tls_end},
        {"send", 's', request, requested},
        {"wait", '.', requested, response},
        {"receive", '#', response, responded},
    };
    memcpy(phases, all, sizeof all);
    return 6;
}

static double latest_date(nsurlsession_array_t *exchanges, double start)
{
    double latest = start;
    for (size_t index = 0; index < nsurlsession_array_count(exchanges); index++) {
        nsurlsession_transaction_metrics_t *exchange =
            nsurlsession_array_object_at_index(exchanges, index);
        struct phase phases[6];
        for (size_t phase = 0; phase < phases_of(exchange, phases); phase++) {
            latest = fmax(latest, phases[phase].start);
            latest = fmax(latest, phases[phase].end);
        }
        nsurlsession_release(exchange);
    }
    return latest;
}

static void draw(FILE *out, const struct phase *phase, double start, double scale, int width)
{
    if (isnan(phase->start) || isnan(phase->end))
        return;
    int from = (int)((phase->start - start) * scale);
    int length = (int)ceil((phase->end - phase->start) * scale);
    if (length < 1)
        length = 1;
    if (from + length > width)
        from = width - length;
    fprintf(out, "  %-13s %9.1f ms |%*s", phase->name, (phase->end - phase->start) * 1000, from, "");
    for (int column = 0; column < length; column++)
        fputc(phase->mark, out);
    fprintf(out, "%*s|\n", width - from - length, "");
}

void report_timing(FILE *out, nsurlsession_task_metrics_t *metrics, int width)
{
    nsurlsession_array_t *exchanges = nsurlsession_task_metrics_transaction_metrics(metrics);
    nsurlsession_date_interval_t *interval = nsurlsession_task_metrics_task_interval(metrics);
    double start = nsurlsession_date_interval_start_date(interval);
    double duration = latest_date(exchanges, start) - start;
    int columns = width - 32 < 20 ? 20 : width - 32;
    double scale = duration > 0 ? columns / duration : 0;

    for (size_t index = 0; index < nsurlsession_array_count(exchanges); index++) {
        nsurlsession_transaction_metrics_t *exchange =
            nsurlsession_array_object_at_index(exchanges, index);
        nsurlsession_request_t *request = nsurlsession_transaction_metrics_request(exchange);
        nsurlsession_response_t *response = nsurlsession_transaction_metrics_response(exchange);
        nsurlsession_string_t *method = nsurlsession_request_http_method(request);
        nsurlsession_string_t *url = nsurlsession_request_url(request);
        const char *protocol = nsurlsession_transaction_metrics_network_protocol_name(exchange);
        const char *address = nsurlsession_transaction_metrics_remote_address(exchange);
        fprintf(out, "%s %s\n", nsurlsession_string_utf8_string(method),
                nsurlsession_string_utf8_string(url));
        if (response)
            fprintf(out, "  %s %" PRId64, protocol ? protocol : "?",
                    nsurlsession_response_status_code(response));
        else
            fprintf(out, "  no response");
        if (address)
            fprintf(out, ", %s port %d%s", address,
                    (int)nsurlsession_transaction_metrics_remote_port(exchange),
                    nsurlsession_transaction_metrics_reused_connection(exchange)
                        ? ", connection used before"
                        : "");
        fputc('\n', out);
        struct phase phases[6];
        for (size_t phase = 0; phase < phases_of(exchange, phases); phase++)
            draw(out, &phases[phase], start, scale, columns);
        nsurlsession_release(method);
        nsurlsession_release(url);
        nsurlsession_release(request);
        nsurlsession_release(response);
        nsurlsession_release(exchange);
    }
    fprintf(out, "  %-13s %9.1f ms\n", "in all", nsurlsession_date_interval_duration(interval) * 1000);
    nsurlsession_release(interval);
    nsurlsession_release(exchanges);
}

/* ---- The archive ----------------------------------------------------------------------------- */

static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *byte = (const unsigned char *)(text ? text : ""); *byte; byte++) {
        if (*byte == '"' || *byte == '\\')
            fprintf(out, "\\%c", *byte);
        else if (*byte < 0x20)
            fprintf(out, "\\u%04x", *byte);
        else
            fputc(*byte, out);
    }
    fputc('"', out);
}

static void json_fields(FILE *out, nsurlsession_dictionary_t *fields)
{
    fputc('[', out);
    for (size_t index = 0; index < nsurlsession_dictionary_count(fields); index++) {
        const char *name = nsurlsession_dictionary_key_at_index(fields, index);
        nsurlsession_string_t *value = nsurlsession_dictionary_object_for_key(fields, name);
        fputs(index ? ",{\"name\":" : "{\"name\":", out);
        json_string(out, name);
        fputs(",\"value\":", out);
        json_string(out, nsurlsession_string_utf8_string(value));
        fputc('}', out);
        nsurlsession_release(value);
    }
    fputc(']', out);
}

/* The parameters behind the question mark. Their percent-encoding is kept. */
static void json_query(FILE *out, const char *url)
{
    const char *rest = url ? strchr(url, '?') : NULL;
    const char *separator = "";
    fputc('[', out);
    while (rest && *++rest && *rest != '#') {
        size_t length = strcspn(rest, "&#");
        const char *equals = memchr(rest, '=', length);
        size_t name = equals ? (size_t)(equals - rest) : length;
        char text[2048];
        fprintf(out, "%s{\"name\":", separator);
        snprintf(text, sizeof text, "%.*s", (int)name, rest);
        json_string(out, text);
        fputs(",\"value\":", out);
        snprintf(text, sizeof text, "%.*s", equals ? (int)(length - name - 1) : 0,
                 equals ? equals + 1 : "");
        json_string(out, text);
        fputc('}', out);
        separator = ",";
        rest += length;
        if (*rest != '&')
            break;
    }
    fputc(']', out);
}

/* Milliseconds between two dates; -1, which stands for "does not apply", when one is missing. */
static double milliseconds(double start, double end)
{
    return isnan(start) || isnan(end) ? -1 : fmax(0, (end - start) * 1000);
}

static double or_zero(double value)
{
    return value < 0 ? 0 : value;
}

static const char *http_version(const char *protocol)
{
    if (!protocol)
        return "unknown";
    if (strcmp(protocol, "h2") == 0)
        return "HTTP/2";
    if (strcmp(protocol, "h3") == 0)
        return "HTTP/3";
    return strcmp(protocol, "http/1.0") == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

static void json_request(FILE *har, nsurlsession_transaction_metrics_t *exchange)
{
    nsurlsession_request_t *request = nsurlsession_transaction_metrics_request(exchange);
    nsurlsession_string_t *method = nsurlsession_request_http_method(request);
    nsurlsession_string_t *url = nsurlsession_request_url(request);
    nsurlsession_dictionary_t *fields = nsurlsession_request_all_http_header_fields(request);
    fputs("\"request\":{\"method\":", har);
    json_string(har, nsurlsession_string_utf8_string(method));
    fputs(",\"url\":", har);
    json_string(har, nsurlsession_string_utf8_string(url));
    fputs(",\"httpVersion\":", har);
    json_string(har,
                http_version(nsurlsession_transaction_metrics_network_protocol_name(exchange)));
    fputs(",\"cookies\":[],\"headers\":", har);
    json_fields(har, fields);
    fputs(",\"queryString\":", har);
    json_query(har, nsurlsession_string_utf8_string(url));
    fprintf(har, ",\"headersSize\":%" PRId64 ",\"bodySize\":%" PRId64 "},",
            nsurlsession_transaction_metrics_count_of_request_header_bytes_sent(exchange),
            nsurlsession_transaction_metrics_count_of_request_body_bytes_sent(exchange));
    nsurlsession_release(fields);
    nsurlsession_release(url);
    nsurlsession_release(method);
    nsurlsession_release(request);
}

static void json_response(FILE *har, nsurlsession_transaction_metrics_t *exchange)
{
    nsurlsession_response_t *response = nsurlsession_transaction_metrics_response(exchange);
    nsurlsession_dictionary_t *fields = nsurlsession_response_all_header_fields(response);
    nsurlsession_string_t *location =
        nsurlsession_dictionary_object_for_key(fields, "Location");
    int64_t status = nsurlsession_response_status_code(response);
    const char *type = nsurlsession_response_mime_type(response);
    fprintf(har, "\"response\":{\"status\":%" PRId64 ",\"statusText\":", status);
    json_string(har, response ? nsurlsession_response_localized_string_for_status_code(status) : "");
    fputs(",\"httpVersion\":", har);
    json_string(har,
                http_version(nsurlsession_transaction_metrics_network_protocol_name(exchange)));
    fputs(",\"cookies\":[],\"headers\":", har);
    json_fields(har, fields);
    fprintf(har, ",\"content\":{\"size\":%" PRId64 ",\"mimeType\":",
            nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding(exchange));
    json_string(har, type ? type : "application/octet-stream");
    fputs("},\"redirectURL\":", har);
    json_string(har, nsurlsession_string_utf8_string(location));
    fprintf(har, ",\"headersSize\":%" PRId64 ",\"bodySize\":%" PRId64 "},",
            nsurlsession_transaction_metrics_count_of_response_header_bytes_received(exchange),
            nsurlsession_transaction_metrics_count_of_response_body_bytes_received(exchange));
    nsurlsession_release(location);
    nsurlsession_release(fields);
    nsurlsession_release(response);
}

static void json_entry(FILE *har, nsurlsession_transaction_metrics_t *exchange)
{
    double fetch = nsurlsession_transaction_metrics_fetch_start_date(exchange);
    double request = nsurlsession_transaction_metrics_request_start_date(exchange);
    double dns_start = nsurlsession_transaction_metrics_domain_lookup_start_date(exchange);
    double connect_start = nsurlsession_transaction_metrics_connect_start_date(exchange);
    double first = !isnan(dns_start) ? dns_start : !isnan(connect_start) ? connect_start : request;
    double response = nsurlsession_transaction_metrics_response_start_date(exchange);
    double requested = nsurlsession_transaction_metrics_request_end_date(exchange);
    double blocked = milliseconds(fetch, first);
    double dns = milliseconds(
        dns_start, nsurlsession_transaction_metrics_domain_lookup_end_date(exchange));
    double connect = milliseconds(
        connect_start, nsurlsession_transaction_metrics_connect_end_date(exchange));
    double ssl = milliseconds(
        nsurlsession_transaction_metrics_secure_connection_start_date(exchange),
        nsurlsession_transaction_metrics_secure_connection_end_date(exchange));
    double send = or_zero(milliseconds(request, requested));
    double wait = or_zero(milliseconds(requested, response));
    double receive = or_zero(
        milliseconds(response, nsurlsession_transaction_metrics_response_end_date(exchange)));
    double all = or_zero(blocked) + or_zero(dns) + or_zero(connect) + send + wait + receive;

    time_t seconds = (time_t)floor(fetch);
    struct tm date;
    char text[64];
    gmtime_r(&seconds, &date);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &date);
    fprintf(har, "{\"startedDateTime\":\"%s.%03dZ\",\"time\":%.3f,", text,
            (int)((fetch - floor(fetch)) * 1000), all);
    json_request(har, exchange);
    json_response(har, exchange);
    fprintf(har,
            "\"cache\":{},\"timings\":{\"blocked\":%.3f,\"dns\":%.3f,\"connect\":%.3f,"
            "\"ssl\":%.3f,\"send\":%.3f,\"wait\":%.3f,\"receive\":%.3f}",
            blocked, dns, connect, ssl, send, wait, receive);
    const char *address = nsurlsession_transaction_metrics_remote_address(exchange);
    if (address) {
        fputs(",\"serverIPAddress\":", har);
        json_string(har, address);
    }
    fputc('}', har);
}

FILE *har_begin(const char *path)
{
    FILE *har = fopen(path, "w");
    if (har)
        fprintf(har,
                "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"nsurl\",\"version\":\"%s\"},"
                "\"entries\":[\n",
                nsurlsession_version_string());
    return har;
}

void har_add(FILE *har, nsurlsession_task_metrics_t *metrics)
{
    nsurlsession_array_t *exchanges = nsurlsession_task_metrics_transaction_metrics(metrics);
    for (size_t index = 0; index < nsurlsession_array_count(exchanges); index++) {
        nsurlsession_transaction_metrics_t *exchange =
            nsurlsession_array_object_at_index(exchanges, index);
        /* Not before the first entry, which begins right behind the bracket's line. */
        static FILE *begun;
        if (begun == har)
            fputs(",\n", har);
        begun = har;
        json_entry(har, exchange);
        nsurlsession_release(exchange);
    }
    nsurlsession_release(exchanges);
}

int har_end(FILE *har)
{
    fputs("\n]}}\n", har);
    int failed = ferror(har);
    return fclose(har) == 0 && !failed;
}
