/* Who is an admin, as a table. */
#include "gateway/access/admin.h"
#include "tests/unit/unit.h"

static const struct grants nobody = {.name = "anonymous"};
static const struct grants reader = {.name = "reader", .token = "r"};
static const struct grants admin = {.name = "admin", .token = "a", .admin = true};

static const struct {
    const char *what;
    struct admin_request request;
    enum admin_verdict verdict;
} requests[] = {
    {"an admin's token from anywhere", {&admin, false, true, "gate.example", NULL, NULL, false}, ADMIN_ALLOWED},
    {"another token", {&reader, false, false, "gate.example", NULL, NULL, false}, ADMIN_FORBIDDEN},
    {"another token, from here", {&reader, true, false, "localhost", NULL, NULL, false}, ADMIN_FORBIDDEN},
    {"an unknown token", {NULL, false, false, "gate.example", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"an unknown token, from here", {NULL, true, false, "localhost", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"nobody from elsewhere", {&nobody, false, false, "localhost", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"from here", {&nobody, true, false, "localhost", NULL, NULL, false}, ADMIN_ALLOWED},
    {"from here with a port", {&nobody, true, false, "localhost:8080", NULL, NULL, false}, ADMIN_ALLOWED},
    {"from here by number", {&nobody, true, false, "127.0.0.1:8080", NULL, NULL, false}, ADMIN_ALLOWED},
    {"from here by IPv6", {&nobody, true, false, "[::1]:8080", NULL, NULL, false}, ADMIN_ALLOWED},
    {"from here in capitals", {&nobody, true, false, "LocalHost", NULL, NULL, false}, ADMIN_ALLOWED},
    {"a unix socket's usual name", {&nobody, true, false, "unix", NULL, NULL, false}, ADMIN_ALLOWED},
    {"through a balancer on this machine", {&nobody, true, true, "localhost", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"a balancer that hides, by the public name",
     {&nobody, true, false, "gate.example", NULL, NULL, false},
     ADMIN_UNKNOWN},
    {"a name that was pointed here",
     {&nobody, true, false, "localhost.evil.example", NULL, NULL, false},
     ADMIN_UNKNOWN},
    {"a port that is none", {&nobody, true, false, "localhost:80.evil.example", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"a number that goes on", {&nobody, true, false, "127.0.0.1.evil.example", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"no Host", {&nobody, true, false, "", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"two Hosts", {&nobody, true, false, "localhost,evil.example", NULL, NULL, false}, ADMIN_UNKNOWN},
    {"our own page", {&nobody, true, false, "localhost:8080", "http://localhost:8080", NULL, false}, ADMIN_ALLOWED},
    {"our own page over TLS",
     {&nobody, true, false, "localhost:8443", "https://LOCALHOST:8443", NULL, false},
     ADMIN_ALLOWED},
    {"a page of another port",
     {&nobody, true, false, "localhost:8080", "http://localhost:3000", NULL, false},
     ADMIN_UNKNOWN},
    {"a page of a stranger",
     {&nobody, true, false, "localhost:8080", "https://evil.example", NULL, false},
     ADMIN_UNKNOWN},
    {"a page without origin", {&nobody, true, false, "localhost:8080", "null", NULL, false}, ADMIN_UNKNOWN},
    {"our own page, with the port of its scheme",
     {&nobody, true, false, "localhost:80", "http://localhost", NULL, false},
     ADMIN_ALLOWED},
    {"our own page, as browsers of today say",
     {&nobody, true, false, "localhost", NULL, "same-origin", false},
     ADMIN_ALLOWED},
    {"the address bar", {&nobody, true, false, "localhost", NULL, "none", false}, ADMIN_ALLOWED},
    {"a picture in a page of a stranger",
     {&nobody, true, false, "localhost", NULL, "cross-site", false},
     ADMIN_UNKNOWN},
    {"a picture in a page of another port",
     {&nobody, true, false, "localhost", NULL, "same-site", false},
     ADMIN_UNKNOWN},
    {"a page that says nothing good", {&nobody, true, false, "localhost", NULL, "", false}, ADMIN_UNKNOWN},
    {"a page with an admin's token", {&admin, true, false, "localhost", NULL, "cross-site", false}, ADMIN_ALLOWED},
    {"an origin that was too long", {&nobody, true, false, "localhost:8080", "", NULL, false}, ADMIN_UNKNOWN},
    {"an admin's page looks",
     {&admin, false, true, "gate.example", "https://elsewhere.example", NULL, false},
     ADMIN_ALLOWED},
    {"an admin's shell acts", {&admin, false, true, "gate.example", NULL, NULL, true}, ADMIN_ALLOWED},
    {"an admin's page acts", {&admin, false, true, "gate.example", "https://gate.example", NULL, true}, ADMIN_ALLOWED},
    {"another page acts with an admin's token",
     {&admin, false, true, "gate.example", "https://evil.example", NULL, true},
     ADMIN_ELSEWHERE},
    {"a page of another port does",
     {&admin, false, true, "gate.example", "https://gate.example:1", NULL, true},
     ADMIN_ELSEWHERE},
    {"a page without origin does", {&admin, false, true, "gate.example", "null", NULL, true}, ADMIN_ELSEWHERE},
    {"another page acts without",
     {&nobody, true, false, "localhost:8080", "https://evil.example", NULL, true},
     ADMIN_UNKNOWN},
    {"another page acts with another token",
     {&reader, true, false, "localhost", "https://evil.example", NULL, true},
     ADMIN_FORBIDDEN},
    {"our own page acts", {&nobody, true, false, "localhost:8080", "http://localhost:8080", NULL, true}, ADMIN_ALLOWED},
};

static void test_verdicts(void)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        enum admin_verdict verdict = admin_judge(&requests[i].request);
        if (verdict != requests[i].verdict)
            printf("\n    %s", requests[i].what);
        CU_ASSERT_EQUAL(verdict, requests[i].verdict);
    }
}

UNIT_MAIN("gateway/access/admin", UNIT(test_verdicts))
