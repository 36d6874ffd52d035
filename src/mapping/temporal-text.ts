import type { LineBuffer } from '../change/line-buffer.ts';
import type { Conversions } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';

export function isDate(year: number, month: number, day: number): boolean {
  if (year === 0 || month === 0 || day === 0) return false;
  return day <= 28 || day <= daysIn(year, month);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/**
 * Writes a date, or NULL for an invalid one; returns whether it wrote a date. Without `conversions` it writes every date as it
 * is.
 */
export function writeDate(
  year: number,
  month: number,
  day: number,
  conversions: Conversions | null,
  out: LineBuffer,
): boolean {
  if (conversions !== null && !isDate(year, month, day)) {
    conversions.dateToNull++;
    out.null();
    return false;
  }
  out.digits(year, 4);
  out.byte(0x2d);
  out.digits(month, 2);
  out.byte(0x2d);
  out.digits(day, 2);
  return true;
}

/** The highest hour of a day, and of a `time`, which ends at 838:59:59. */
export const highestHour = { day: 23, time: 838 } as const;

/** Writes hh:mm:ss. Refuses impossible times, because PostgreSQL would carry a sixtieth second over into the next minute. */
export function writeClock(hour: number, minute: number, second: number, highest: number, out: LineBuffer): void {
  if (hour > highest || minute > 59 || second > 59) throw new InvalidValue('a time has no such hour, minute or second');
  out.digits(hour, hour > 99 ? 3 : 2);
  out.byte(0x3a);
  out.digits(minute, 2);
  out.byte(0x3a);
  out.digits(second, 2);
}

const secondsPerDay = 86_400;

/**
 * Writes seconds since 1970 in UTC with `fraction` digits of `part`. All zero is the zero timestamp, which becomes NULL. Without
 * `conversions` it is written as the server prints it.
 */
export function writeInstant(
  seconds: number,
  part: number,
  fraction: number,
  conversions: Conversions | null,
  out: LineBuffer,
): void {
  if (seconds !== 0 || part !== 0) writeSeconds(seconds, out);
  else if (conversions === null) out.ascii('0000-00-00 00:00:00');
  else {
    conversions.dateToNull++;
    out.null();
    return;
  }
  writeFraction(part, fraction, out);
}

/** Writes seconds since 1970 as the 19 characters of a date and a time of day. */
export function writeSeconds(seconds: number, out: LineBuffer): void {
  const days = Math.floor(seconds / secondsPerDay);
  const clock = seconds - days * secondsPerDay;
  writeCivil(days, out);
  out.byte(0x20);
  writeClock(Math.floor(clock / 3600), Math.floor(clock / 60) % 60, clock % 60, highestHour.day, out);
}

/** Inverts `writeSeconds`: the seconds since 1970 of the date and time of day at `at`. */
export function readSeconds(bytes: Uint8Array, at: number): number {
  const number = (offset: number, digits: number) => {
    let value = 0;
    for (let i = at + offset; i < at + offset + digits; i++) value = value * 10 + (bytes[i] as number) - 0x30;
    return value;
  };
  const days = daysOf(number(0, 4), number(5, 2), number(8, 2));
  return days * secondsPerDay + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
}

const unitsPerSecond = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] as const;

/** Writes a point and the digits of a fraction; nothing if `fraction` is 0. */
export function writeFraction(part: number, fraction: number, out: LineBuffer): void {
  if (fraction === 0) return;
  if (part >= (unitsPerSecond[fraction] as number)) throw new InvalidValue('a time has more than a second of fraction');
  out.byte(0x2e);
  out.digits(part, fraction);
}

/** The day count since 1970-01-01 of a date, by the same eras as `writeCivil`. */
function daysOf(year: number, month: number, day: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(shiftedYear / 400);
  const yearOfEra = shiftedYear - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** Writes a day count since 1970-01-01 as a date of the Gregorian calendar, by eras of 400 years that start in March. */
function writeCivil(days: number, out: LineBuffer): void {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  out.digits(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4);
  out.byte(0x2d);
  out.digits(month, 2);
  out.byte(0x2d);
  out.digits(dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1, 2);
}
