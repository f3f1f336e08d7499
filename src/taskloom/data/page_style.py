"""How the data page looks: one sheet for light and dark, wide and narrow."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f9f9f7; --surface: #fcfcfb; --ink: #0b0b0b; --ink2: #52514e; --muted: #73716b; --grid: #e1e0d9;
  --border: rgba(11, 11, 11, .1); --track: #eeede8; --warn: #fff4d6; --warn-edge: #eda100;
  --train: #2a78d6; --val: #1baf7a; --test: #eda100; --further: #4a3aa7; --above: #2a78d6; --below: #e34948;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d0d0d; --surface: #1a1a19; --ink: #ffffff; --ink2: #c3c2b7; --muted: #9b9992; --grid: #2c2c2a;
    --border: rgba(255, 255, 255, .1); --track: #2c2c2a; --warn: #332a12; --warn-edge: #c98500;
    --train: #3987e5; --val: #199e70; --test: #c98500; --further: #9085e9; --above: #3987e5; --below: #e66767;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
}
main { max-width: 1040px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 12px; }
h3 { font-size: 16px; margin: 0; }
h3 small { font-weight: 400; color: var(--ink2); margin-left: 6px; }
p { margin: 4px 0 10px; max-width: 75ch; }
.sub, .note, figcaption, small, th { color: var(--ink2); }
.sub { overflow-wrap: anywhere; margin-bottom: 18px; }
.note, figcaption { font-size: 13px; }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere; }
section, .tile {
  background: var(--surface); border: 1px solid var(--border); border-radius: 10px;
}
section { padding: 18px 20px; margin: 16px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { padding: 12px 16px; }
.tile b { display: block; font-size: 24px; font-weight: 600; line-height: 1.25; }
.tile span { color: var(--ink2); font-size: 13px; }
.warnings { background: var(--warn); border-left: 4px solid var(--warn-edge); }
.warnings ul, .plain { margin: 0; padding-left: 18px; }
.warnings li, .plain li { margin: 3px 0; overflow-wrap: anywhere; }
.task { border-top: 1px solid var(--grid); padding-top: 14px; margin-top: 18px; }
.task:first-of-type { border-top: 0; padding-top: 0; margin-top: 0; }
.two { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 20px; align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
.two table, table.wide { min-width: 100%; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { font-weight: 500; font-size: 13px; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, .left { text-align: left; }
td:first-child, th:first-child { padding-left: 0; }
td.wrap { white-space: normal; overflow-wrap: anywhere; min-width: 16ch; max-width: 44ch; }
tr:last-child td { border-bottom: 0; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; }
.mark { color: var(--ink2); font-size: 12px; border: 1px solid var(--border); border-radius: 5px; padding: 0 5px; }
figure { margin: 4px 0 0; }
figcaption { margin-bottom: 6px; }
.stack { display: flex; gap: 2px; height: 22px; margin: 4px 0 14px; }
.stack i { border-radius: 4px; min-width: 2px; }
.bars { display: grid; grid-template-columns: fit-content(24ch) 1fr max-content; gap: 3px 10px; align-items: center; }
.bars > span { font-size: 13px; overflow-wrap: anywhere; }
.bars > span.value { color: var(--ink2); font-variant-numeric: tabular-nums; white-space: nowrap; }
.bars > div { border-radius: 4px; height: 12px; position: relative; min-width: 60px; }
.bars > div.track { background: var(--track); }
.bars > div.thin { height: 8px; }
.bars > div i { position: absolute; top: 0; bottom: 0; border-radius: 4px; min-width: 3px; }
.bars > .next { margin-top: 6px; }
.legend { font-size: 13px; color: var(--ink2); margin: 0 0 8px; display: flex; flex-wrap: wrap; gap: 4px 16px; }
.matrix td, .matrix th { text-align: center; border: 2px solid var(--surface); padding: 6px 10px; }
.matrix th.left { text-align: left; padding-left: 0; vertical-align: middle; }
.matrix td { border-radius: 6px; min-width: 74px; }
.matrix td small { display: block; font-size: 11px; color: inherit; opacity: .75; }
svg { display: block; width: 100%; max-width: 400px; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink2); font-variant-numeric: tabular-nums; }
details summary { cursor: pointer; color: var(--ink2); margin: 6px 0; }
a { color: var(--train); }
.button {
  display: inline-block; border: 1px solid var(--border); border-radius: 8px; padding: 7px 14px; text-decoration: none;
  background: var(--surface);
}
@media (max-width: 680px) {
  main { padding: 18px 12px 40px; }
  section { padding: 14px; }
  .two { grid-template-columns: minmax(0, 1fr); gap: 12px; }
  .bars.long { grid-template-columns: max-content 1fr; }
  .bars.long > span.value { grid-column: 1 / -1; margin-bottom: 6px; white-space: normal; }
  th, td { padding: 5px 7px; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
"""
