// Numbers, sizes, times, as the program itself writes them.

import {language} from './words.js';

const SIZES = ['KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(n) {
  if (n < 1024) return `${Math.round(n)} B`;
  let i = 0;
  let value = n / 1024;
  while (value >= 1024 && i < SIZES.length - 1) {
    value /= 1024;
    i += 1;
  }
  const tenths = Math.floor(value * 10) / 10;
  return `${value < 100 ? tenths.toFixed(1) : Math.floor(value)} ${SIZES[i]}`;
}

export function rate(bytesPerSecond) {
  return `${bytes(bytesPerSecond)}/s`;
}

function clock(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const days = Math.floor(seconds / 86400);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const hours = Math.floor(seconds / 3600) % 24;
  if (days) return `${days}d ${two(hours)}:${rest}`;
  return hours ? `${hours}:${rest}` : `${rest}`;
}

// A duration in microseconds.
export function duration(us) {
  if (us < 1000) return `${Math.floor(us)} µs`;
  if (us < 1e6) return `${(Math.floor(us / 100) / 10).toFixed(us < 1e5 ? 1 : 0)} ms`;
  if (us < 60e6) return `${(Math.floor(us / 1e5) / 10).toFixed(1)} s`;
  return clock(Math.floor(us / 1e6));
}

// The same for what changes each second: no more than tenths of a second.
export function age(us) {
  if (us < 60e6) return `${Math.floor(us / 1e6)} s`;
  return clock(Math.floor(us / 1e6));
}

export function milliseconds(us) {
  if (us < 1000) return `${(us / 1000).toFixed(2)}`;
  return us < 1e5 ? (us / 1000).toFixed(1) : String(Math.round(us / 1000));
}

export function count(n) {
  return new Intl.NumberFormat(language).format(n);
}

export function percent(part, whole) {
  if (!whole) return '0 %';
  const value = (part / whole) * 100;
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

function parts(date) {
  const two = (n) => String(n).padStart(2, '0');
  return {
    day: `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
    minute: `${two(date.getHours())}:${two(date.getMinutes())}`,
    second: `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
  };
}

// A moment in local time: milliseconds since 1970, or RFC 3339 text.
export function moment(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '';
  const {day, second} = parts(date);
  return `${day} ${second}`;
}

// The same, without the day when it is today's.
export function shortMoment(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '';
  const {day, second} = parts(date);
  return day === parts(new Date()).day ? second : `${day} ${second}`;
}

export function minute(at) {
  return parts(new Date(at)).minute;
}

// What <input type="datetime-local"> takes.
export function inputMoment(at) {
  const {day, minute: time} = parts(new Date(at));
  return `${day}T${time}`;
}

const UNITS = [
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

export function ago(at) {
  const seconds = Math.round((at - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, n]) => Math.abs(seconds) >= n) || ['second', 1];
  const format = new Intl.RelativeTimeFormat(language, {numeric: 'always', style: 'short'});
  return format.format(Math.min(0, Math.trunc(seconds / size)), unit);
}
