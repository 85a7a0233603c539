// A forest's chance and time: dice that a seed repeats, and a clock that only the forest moves.

/** Random numbers (a linear congruential generator, of which only the upper bits are used). */
export function dice(seed) {
  let state = BigInt(seed) * 2654435761n + 1n;
  const roll = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) % 2n ** 64n;
    return Number(state >> 32n) / 2 ** 32;
  };
  const below = (n) => Math.floor(roll() * n);
  return { below, chance: (p) => roll() < p, pick: (list) => list[below(list.length)] };
}

const RealDate = Date;
export const clock = { now: RealDate.UTC(2026, 0, 5, 9) };

// pi asks for the time wherever it makes an entry; a person's entries lie seconds apart, these would not.
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [clock.now]));
  }
  static now() {
    return clock.now;
  }
};
