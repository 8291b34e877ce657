/* The queue of frames of one connection. */
#include "gateway/net/outq.h"

#include "tests/unit/unit.h"

static const char states[2]; /* whose state a frame tells: of capitals none's, of others one of the two in turn */

static struct frame *frame(char c)
{
    struct frame *f = frame_new(slice_of(&c, 1), 1);
    f->of = c >= 'a' ? &states[c % 2] : NULL;
    return f;
}

static void push(struct outq *q, char c, bool answer)
{
    struct frame *f = frame(c);
    outq_push(q, f, answer ? OUTQ_ANSWER : OUTQ_STATE);
    frame_unref(f);
}

/* Takes everything out and compares. */
static void drains_as(struct outq *q, const char *expected)
{
    for (const char *c = expected; *c; c++) {
        const struct frame *f = outq_peek(q);
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        if (!f)
            return;
        CU_ASSERT_EQUAL(f->bytes[0], *c);
        outq_pop(q);
    }
    CU_ASSERT_PTR_NULL(outq_peek(q));
    CU_ASSERT_EQUAL(q->bytes, 0);
}

static void test_one_needs_no_ring(void)
{
    struct outq q = {0};
    for (int i = 0; i < 3; i++) {
        push(&q, 'a', false);
        CU_ASSERT_PTR_NULL(q.ring);
        CU_ASSERT_EQUAL(q.bytes, 1);
        drains_as(&q, "a");
    }
    outq_deinit(&q);
}

static void test_order_over_growing_and_wrapping(void)
{
    struct outq q = {0};
    char next_in = 0, next_out = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < (round * 7) % 23; i++)
            push(&q, next_in++, false);
        for (int i = 0; i < (round * 5) % 19 && q.len; i++) {
            CU_ASSERT_EQUAL_FATAL(outq_peek(&q)->bytes[0], next_out++);
            outq_pop(&q);
        }
    }
    while (q.len) {
        CU_ASSERT_EQUAL_FATAL(outq_peek(&q)->bytes[0], next_out++);
        outq_pop(&q);
    }
    CU_ASSERT_EQUAL(next_in, next_out);
    outq_trim(&q);
    CU_ASSERT_PTR_NULL(q.ring);
    outq_deinit(&q);
}

static void test_shed_keeps_answers_in_order(void)
{
    struct outq q = {0};
    struct buf of;
    buf_init(&of, 1024);
    push(&q, 'x', false);
    outq_pop(&q);
    for (const char *c = "aBcDEfgHiJ"; *c; c++)
        push(&q, *c, *c < 'a');
    CU_ASSERT_EQUAL(outq_shed(&q, &of), 5);
    CU_ASSERT_EQUAL(q.bytes, 5);
    drains_as(&q, "BDEHJ");
    const void *whose[] = {&states['a' % 2], &states['f' % 2], &states['g' % 2]}; /* a and c, f, g and i */
    CU_ASSERT_EQUAL_FATAL(of.len, sizeof(whose));
    CU_ASSERT_EQUAL(memcmp(of.ptr, whose, sizeof(whose)), 0);
    buf_reset(&of);
    push(&q, 'k', false);
    CU_ASSERT_EQUAL(outq_shed(&q, &of), 1);
    CU_ASSERT_EQUAL(outq_shed(&q, &of), 0);
    CU_ASSERT_EQUAL(of.len, sizeof(void *));
    drains_as(&q, "");
    buf_deinit(&of);
    outq_deinit(&q);
}

static struct frame *push_text(struct outq *q, const char *text, enum outq_kind kind)
{
    struct frame *f = frame_new(slice_str(text), 1);
    outq_push(q, f, kind);
    frame_unref(f);
    return f;
}

static void test_frames_are_written_in_pieces(void)
{
    struct outq q = {0};
    struct frame *f = push_text(&q, "abcdef", OUTQ_STATE);
    push_text(&q, "xy", OUTQ_STATE);
    outq_wrote(&q, 2);
    CU_ASSERT_EQUAL(q.sent, 2);
    CU_ASSERT_EQUAL(q.bytes, 6);
    CU_ASSERT_PTR_EQUAL(outq_peek(&q), f);
    outq_wrote(&q, 4);
    CU_ASSERT_EQUAL(q.sent, 0);
    CU_ASSERT_EQUAL(q.bytes, 2);
    outq_wrote(&q, 2);
    CU_ASSERT_EQUAL(q.len, 0);
    CU_ASSERT_EQUAL(q.bytes, 0);
    outq_deinit(&q);
}

static void test_what_was_begun_is_never_dropped(void)
{
    struct outq q = {0};
    struct frame *f = push_text(&q, "abcdef", OUTQ_STATE);
    push_text(&q, "state", OUTQ_STATE);
    push_text(&q, "answer", OUTQ_ANSWER);
    push_text(&q, "other", OUTQ_OTHER);
    outq_wrote(&q, 1);
    struct buf of;
    buf_init(&of, 1024);
    CU_ASSERT_EQUAL(outq_shed(&q, &of), 1);
    buf_deinit(&of);
    CU_ASSERT_EQUAL(q.len, 3);
    CU_ASSERT_EQUAL(q.bytes, 5 + 6 + 5);
    outq_clear(&q);
    CU_ASSERT_EQUAL(q.len, 1);
    CU_ASSERT_EQUAL(q.bytes, 5);
    CU_ASSERT_EQUAL(q.answers, 0);
    CU_ASSERT_PTR_EQUAL(outq_peek(&q), f);
    outq_pop(&q);
    outq_clear(&q);
    CU_ASSERT_EQUAL(q.bytes, 0);
    outq_deinit(&q);
}

static void test_answers_are_counted_until_begun(void)
{
    struct outq q = {0};
    push_text(&q, "abc", OUTQ_ANSWER);
    push_text(&q, "de", OUTQ_OTHER);
    push_text(&q, "f", OUTQ_ANSWER);
    CU_ASSERT_EQUAL(q.answers, 4);
    outq_wrote(&q, 1);
    CU_ASSERT_EQUAL(q.answers, 1);
    outq_wrote(&q, 2);
    CU_ASSERT_EQUAL(q.answers, 1);
    outq_pop(&q);
    outq_pop(&q);
    CU_ASSERT_EQUAL(q.answers, 0);
    outq_deinit(&q);
}

static void test_who_began_is_counted(void)
{
    struct outq a = {0}, b = {0}, c = {0};
    struct frame *f = frame_new(SLICE_LIT("shared"), 1);
    outq_push(&a, f, OUTQ_STATE);
    outq_push(&b, f, OUTQ_STATE);
    outq_push(&c, f, OUTQ_STATE);
    CU_ASSERT_EQUAL(f->begun, 0);
    outq_wrote(&a, 1);
    outq_wrote(&a, 1);
    outq_wrote(&b, 3);
    CU_ASSERT_EQUAL(f->begun, 2);
    outq_clear(&a);
    CU_ASSERT_EQUAL(f->begun, 2);
    outq_wrote(&a, 4); /* the rest */
    CU_ASSERT_EQUAL(f->begun, 1);
    outq_wrote(&c, 6); /* all at once */
    CU_ASSERT_EQUAL(f->begun, 1);
    outq_deinit(&b);
    CU_ASSERT_EQUAL(f->begun, 0);
    CU_ASSERT_EQUAL(f->refs, 1);
    frame_unref(f);
    outq_deinit(&a);
    outq_deinit(&c);
}

/* Whatever holds it. */
static void test_the_only_one(void)
{
    struct outq q = {0};
    for (int waited = 1; waited < 200;
         waited += 33) { /* a slot of its own, a ring, and one that is too large to keep */
        for (int i = 0; i < waited; i++)
            push(&q, 'a', false);
        while (q.len)
            outq_pop(&q);
        struct frame *f = frame_new(SLICE_LIT("answer"), 1);
        outq_push(&q, f, OUTQ_ANSWER);
        CU_ASSERT_EQUAL(f->refs, 2);
        CU_ASSERT_EQUAL(q.answers, 6);
        outq_pop_only(&q);
        CU_ASSERT_EQUAL(f->refs, 1);
        CU_ASSERT_EQUAL(q.len + q.bytes + q.answers + q.sent, 0);
        CU_ASSERT_TRUE(q.cap <= OUTQ_RING_KEPT);
        frame_unref(f);
        push(&q, 'b', false);
        drains_as(&q, "b");
    }
    outq_deinit(&q);
}

static void test_deinit_drops_references(void)
{
    struct outq q = {0};
    struct frame *f = frame('a');
    for (int i = 0; i < 50; i++)
        outq_push(&q, f, i % 2 ? OUTQ_ANSWER : OUTQ_STATE);
    CU_ASSERT_EQUAL(f->refs, 51);
    outq_deinit(&q);
    CU_ASSERT_EQUAL(f->refs, 1);
    frame_unref(f);
}

UNIT_MAIN("gateway/net/outq", UNIT(test_one_needs_no_ring), UNIT(test_order_over_growing_and_wrapping),
          UNIT(test_shed_keeps_answers_in_order), UNIT(test_frames_are_written_in_pieces),
          UNIT(test_what_was_begun_is_never_dropped), UNIT(test_answers_are_counted_until_begun),
          UNIT(test_who_began_is_counted), UNIT(test_the_only_one), UNIT(test_deinit_drops_references))
