const secondsPerDay = 86_400;
/** The number of days that a timestamp can express: 2^32 seconds from 1970 on. */
const dayCount = Math.ceil(2 ** 32 / secondsPerDay);
/** Values of `#ofDay` that are not offsets. */
const notAsked = 0x7fff_ffff;
const changing = 0x7fff_fffe;

/** A change of the clocks within a day, `at` seconds since 1970. */
interface Change {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** Offsets of a zone's clocks from UTC. Intl is slow, so it is asked once for each day that occurs. */
export class ZoneOffsets {
  readonly #format: Intl.DateTimeFormat;
  readonly #ofDay = new Int32Array(dayCount).fill(notAsked);
  readonly #changes = new Map<number, Change>();

  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat('en', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** Seconds ahead of UTC at an instant, in seconds since 1970. */
  at(seconds: number): number {
    const day = Math.floor(seconds / secondsPerDay);
    let offset = this.#ofDay[day] as number;
    if (offset === notAsked) offset = this.#ofDay[day] = this.#learn(day);
    if (offset !== changing) return offset;
    const { at, before, after } = this.#changes.get(day) as Change;
    return seconds < at ? before : after;
  }

  /** No zone has set its clocks twice within a day since 1970. Equal offsets at both ends of a day therefore hold all day. */
  #learn(day: number): number {
    let low = day * secondsPerDay;
    let high = low + secondsPerDay;
    const before = this.#ask(low);
    const after = this.#ask(high);
    if (before === after) return before;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#ask(middle) === before) low = middle;
      else high = middle;
    }
    this.#changes.set(day, { at: high, before, after });
    return changing;
  }

  #ask(seconds: number): number {
    const parts = new Map(this.#format.formatToParts(seconds * 1000).map(({ type, value }) => [type, Number(value)]));
    const part = (name: Intl.DateTimeFormatPartTypes) => parts.get(name) as number;
    const clock = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
    return clock / 1000 - seconds;
  }
}
