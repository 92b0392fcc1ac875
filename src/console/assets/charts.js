// Charts, by Chart.js: in the theme's colours, still for who wants no motion, and each with its
// numbers as a table for who cannot see it.

import {fill, h, plain} from './dom.js';
import {say} from './words.js';

let loading = null;

// The library is large, and only wanted where there is a chart.
function library() {
  loading = loading || import('./chart.js').then(() => globalThis.Chart);
  return loading;
}

const probe = h('span.probe', {hidden: true});

// What a variable of style.css is as a colour, in the theme that is shown.
function colour(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function fade(rgb, alpha) {
  return rgb.replace('rgb(', 'rgba(').replace(')', `, ${alpha})`);
}

// As many hues as can be told apart; the rest is one grey.
const HUES = ['bad', 'warn', 'up', 'down', 'c5', 'c6', 'c7', 'c8'];

export function hueOf(i) {
  return i < HUES.length ? HUES[i] : 'faint';
}

// The axis of sizes: steps of 1, 2, 5, 10, … 500 of a unit of 1024.
function binaryAxis(sets, most) {
  const top = Math.max(most, ...sets.flatMap((one) => one.data));
  let unit = 1;
  while (top / unit >= 1024) unit *= 1024;
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((n) => n * unit * 4 >= top) || 1000;
  return {max: Math.ceil(top / (step * unit)) * step * unit, step: step * unit};
}

function axes(options) {
  const line = colour('line');
  const faint = colour('faint');
  const font = {family: getComputedStyle(document.body).fontFamily, size: 11};
  return {
    x: {
      stacked: options.stacked,
      grid: {display: false, borderColor: line},
      ticks: {color: faint, font, maxRotation: 0, autoSkipPadding: 24},
    },
    y: {
      stacked: options.stacked,
      beginAtZero: true,
      suggestedMax: options.most,
      ...(options.binary ? {max: options.axis.max} : {}),
      grid: {color: line, drawBorder: false},
      ticks: {
        color: faint,
        font,
        maxTicksLimit: 5,
        padding: 6,
        precision: 0,
        stepSize: options.axis?.step,
        callback: (n) => options.value(n),
      },
    },
  };
}

function dataset(one, kind) {
  const rgb = colour(one.hue);
  if (kind === 'bar') {
    return {
      label: plain(one.label),
      data: one.data,
      backgroundColor: rgb,
      borderWidth: 0,
      barPercentage: 0.9,
      categoryPercentage: 0.95,
    };
  }
  return {
    label: plain(one.label),
    data: one.data,
    borderColor: rgb,
    backgroundColor: fade(rgb, 0.12),
    borderWidth: 1.5,
    pointRadius: 0,
    pointHitRadius: 12,
    fill: true,
    cubicInterpolationMode: 'monotone',
  };
}

// options: kind ('line', 'bar'), title, labels, sets: [{label, hue, data}], value(n): a number as
// text, stacked, most: at least that far goes the axis.
export class ChartView {
  constructor(options) {
    this.options = options;
    this.canvas = h('canvas', {role: 'img', 'aria-label': options.title});
    this.table = h('div.chart-numbers');
    this.element = h(
      'div.chart',
      h('div.chart-canvas', this.canvas),
      h('details.raw', h('summary', say('chart.numbers')), this.table),
    );
    this.details = this.element.querySelector('details');
    this.details.addEventListener('toggle', () => this.#fillTable());
    this.onTheme = () => this.#draw(true);
    document.addEventListener('theme', this.onTheme);
    this.media = matchMedia('(prefers-color-scheme: dark)');
    this.media.addEventListener('change', this.onTheme);
  }

  update(labels, sets) {
    this.options.labels = labels;
    this.options.sets = sets;
    if (this.options.binary) this.options.axis = binaryAxis(sets, this.options.most);
    this.#draw(false);
    this.#fillTable();
  }

  async #draw(anew) {
    const {kind, labels, sets, value} = this.options;
    if (!labels) return;
    const Chart = await library();
    if (!this.canvas.isConnected) return;
    if (this.chart && !anew) {
      this.#refresh();
      return;
    }
    if (this.chart) this.chart.destroy();
    this.chart = new Chart(this.canvas, {
      type: kind,
      data: {labels, datasets: sets.map((one) => dataset(one, kind))},
      options: {
        animation: false,
        maintainAspectRatio: false,
        responsive: true,
        interaction: {mode: 'index', intersect: false},
        locale: document.documentElement.lang,
        scales: axes(this.options),
        plugins: {
          legend: {display: false},
          tooltip: {
            displayColors: true,
            boxWidth: 8,
            boxHeight: 8,
            filter: (item) => item.parsed.y > 0 || kind === 'line',
            callbacks: {label: (item) => ` ${item.dataset.label}: ${value(item.parsed.y)}`},
          },
        },
      },
    });
  }

  #refresh() {
    const {kind, labels, sets} = this.options;
    this.chart.data.labels = labels;
    if (this.options.binary) {
      const {y} = this.chart.options.scales;
      y.max = this.options.axis.max;
      y.ticks.stepSize = this.options.axis.step;
    }
    this.chart.data.datasets = sets.map((one, i) => {
      const known = this.chart.data.datasets[i];
      return known && known.label === plain(one.label)
        ? Object.assign(known, {data: one.data})
        : dataset(one, kind);
    });
    this.chart.update('none');
  }

  // Made only when it is looked at: it changes each second.
  #fillTable() {
    const {labels, sets, value} = this.options;
    if (!this.details.open || !labels) return;
    fill(
      this.table,
      h(
        'table.plain',
        h('caption.only-read', this.options.title),
        h(
          'thead',
          h(
            'tr',
            h('th', {scope: 'col'}, say('time')),
            sets.map((one) => h('th.number', {scope: 'col'}, plain(one.label))),
          ),
        ),
        h(
          'tbody',
          labels.map((label, i) =>
            h(
              'tr',
              h('th', {scope: 'row'}, label),
              sets.map((one) => h('td.number', value(one.data[i] || 0))),
            ),
          ),
        ),
      ),
    );
  }

  leave() {
    document.removeEventListener('theme', this.onTheme);
    this.media.removeEventListener('change', this.onTheme);
    if (this.chart) this.chart.destroy();
    this.chart = null;
  }
}
