#include "load.h"
TEST(try)
{
    nsurlsession_t *s = session_for(NULL);
    printf("%s\n", load_text(s, request_for("GET", fault_url("/echo?a=1"), "X-B","1","X-A", "2", NULL)));
    printf("%s\n", load_text(s, request_for("POST", fault_url("/echo?a=1"), NULL)));
    printf("%s\n", load_text(s, with_body(request_for("POST", fault_url("/echo?a=1"), NULL),"abc",3)));
    printf("%s\n", load_text(s, with_body(request_for("DELETE", fault_url("/echo?a=1"), NULL),"abc",3)));
    printf("%s\n", load_text(s, request_for("GET", tls_h2_url("/echo?a=1"), "X-B","1","X-A", "2", NULL)));
    session_end(s);
}
