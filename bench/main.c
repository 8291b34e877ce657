/* syncgate-bench: a load generator for SockSync and other WebSocket servers (docs/bench.md). */
#include <signal.h>
#include <stdlib.h>

#include "bench/bytes.h"
#include "bench/load.h"

int main(int argc, char **argv)
{
    struct options opt;
    signal(SIGPIPE, SIG_IGN);
    options_parse(argc, argv, &opt);
    struct report *report = bench_alloc(1, sizeof(*report));
    load_run(&opt, report);
    report_print(report);
    int code = report_exit_code(report);
    free(report);
    return code;
}
