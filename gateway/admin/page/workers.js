/* Some answers are about one worker of several, and which one answers is the kernel's choice: each question goes over a
 * connection of its own then, so that all have their turn. What each said last is kept for a while. */
const KEPT_MS = 20000;

export class Workers {
  #answers = new Map(); // worker → { answer, at }

  /** take adds an answer; returns the newest of each worker. */
  take(answer) {
    const now = performance.now();
    this.#answers.set(answer.worker, { answer, at: now });
    for (const [worker, { at }] of this.#answers) if (now - at > KEPT_MS || worker >= answer.workers) this.#answers.delete(worker);
    return [...this.#answers.values()].map((each) => each.answer).sort((a, b) => a.worker - b.worker);
  }
}

/** of says how many of them have answered; nothing when there is one. */
export const of = (answers) => (answers[0].workers > 1 ? `, from ${answers.length} of ${answers[0].workers} workers` : '');
