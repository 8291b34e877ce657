/* Three columns. */
#include "gateway/command/findings.h"

#include <stdarg.h>

void findings_add(struct findings *f, enum finding level, const char *subject, const char *cure, const char *format,
                  ...)
{
    static const char *const levels[] = {[FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_BAD] = "BAD"};
    va_list args;
    f->bad += level == FINDING_BAD;
    if (f->faults_only && level == FINDING_OK)
        return;
    fprintf(f->to, "%-5s %-12s ", levels[level], subject);
    va_start(args, format);
    vfprintf(f->to, format, args);
    va_end(args);
    fputc('\n', f->to);
    if (cure)
        fprintf(f->to, "%18s -> %s\n", "", cure);
    fflush(f->to);
}
