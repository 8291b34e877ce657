/* OpenSSL reads the files as libwebsockets has it read them. */
#include "gateway/command/certificate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { SOON_DAYS = 21 };

/* A key with a password would ask for it at the terminal. */
static int no_password(char *room, int size, int writing, void *arg) /* NOLINT(readability-non-const-parameter) */
{
    (void)room;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown error";
}

static bool is_readable(const char *flag, const char *path, struct findings *f)
{
    FILE *file = fopen(path, "re");
    int first = file ? fgetc(file) : EOF;
    int error = !file || ferror(file) ? errno : 0;
    if (file)
        fclose(file);
    if (error)
        findings_add(f, FINDING_BAD, flag,
                     error == EACCES ? "give the user that syncgate runs as the right to read it" : NULL,
                     "cannot read %s: %s", path, strerror(error));
    else if (first == EOF)
        findings_add(f, FINDING_BAD, flag, NULL, "%s is empty", path);
    return !error && first != EOF;
}

static void check_time(const X509 *x, const char *path, struct findings *f)
{
    int days = 0, seconds = 0;
    if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0) {
        findings_add(f, FINDING_NOTE, "tls-cert", "is this machine's clock right?", "%s is not valid yet", path);
    } else if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x))) {
        findings_add(f, FINDING_NOTE, "tls-cert", NULL, "%s does not say until when it is valid", path);
    } else if (days < 0 || seconds < 0) {
        findings_add(f, FINDING_NOTE, "tls-cert", "get a new one and reload (SIGHUP); browsers refuse this one",
                     "%s expired %d days ago", path, -days);
    } else if (days < SOON_DAYS) {
        findings_add(f, FINDING_NOTE, "tls-cert", "renew it and reload (SIGHUP)", "%s expires in %d days", path, days);
    } else {
        findings_add(f, FINDING_OK, "tls-cert", NULL, "%s is valid for %d more days", path, days);
    }
}

static bool take_cert(SSL_CTX *context, const char *path, struct findings *f)
{
    if (!is_readable("tls-cert", path, f))
        return false;
    if (SSL_CTX_use_certificate_chain_file(context, path) == 1)
        return true;
    findings_add(f, FINDING_BAD, "tls-cert", "it must hold the certificate, then those that signed it, as PEM",
                 "%s is no certificate: %s", path, reason());
    return false;
}

static bool take_key(SSL_CTX *context, const char *path, struct findings *f)
{
    if (!is_readable("tls-key", path, f))
        return false;
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1)
        return true;
    bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
    if (other)
        findings_add(f, FINDING_BAD, "tls-key", "take the key with which the certificate was requested",
                     "%s is the key of another certificate", path);
    else
        findings_add(f, FINDING_BAD, "tls-key", "it must be a private key as PEM, without a password",
                     "%s is no key that can be used: %s", path, reason());
    return false;
}

void certificate_check(const char *cert, const char *key, struct findings *f)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        abort(); /* out of memory */
    SSL_CTX_set_default_passwd_cb(context, no_password);
    ERR_clear_error();
    bool has_cert = take_cert(context, cert, f), has_key = take_key(context, key, f);
    if (has_cert)
        check_time(SSL_CTX_get0_certificate(context), cert, f);
    if (has_cert && has_key)
        findings_add(f, FINDING_OK, "tls-key", NULL, "%s belongs to it", key);
    SSL_CTX_free(context);
    ERR_clear_error();
}
