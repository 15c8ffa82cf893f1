#include "page.h"

#include <nlohmann/json.hpp>

#include "qloft/core/file.h"
#include "qloft/core/text.h"

namespace qloft::compare {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1d2329; --paper: #ffffff; --quiet: #59636e; --rule: #d5dae0; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7eb; --paper: #14181c; --quiet: #9aa4ae; --rule: #363d45; --band: #1d2228; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; color: var(--ink); background: var(--paper);
       font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { max-width: 46rem; margin: .5rem 0; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .875rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid #3b82c4; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { padding: .35rem .45rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
thead th { vertical-align: bottom; white-space: normal; min-width: 3.6rem; border-bottom: 2px solid var(--rule); }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); max-width: 16rem; }
tbody tr:hover > * { background: var(--band); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 2rem; }
figure { margin: 0; min-width: 0; }
figure h3 { font-size: 1rem; margin: 0 0 .25rem; }
figure svg { display: block; width: 100%; height: auto; min-width: 30rem; max-width: 48rem; }
details { margin-top: 2.5rem; }
pre { overflow-x: auto; padding: .75rem; background: var(--band); font-size: .8125rem; }
@media (max-width: 30rem) { th:first-child { max-width: 8rem; white-space: normal; } }
)";

std::string table_html(const Report& report) {
  const Table table = table_of(report);
  std::string out =
      "<p class=\"quiet\" id=\"notes\">Bits are stored bits a weight of the linear layers, all "
      "scales "
      "counted; error is the mean of ||W - Q - BA|| / ||W|| over the matrices; answer loss is in "
      "nats "
      "a token; &plusmn; is one standard error; tune memory is predicted.</p>\n"
      "<div class=\"scroll\" role=\"region\" aria-label=\"Table\" tabindex=\"0\">\n"
      "<table aria-describedby=\"notes\">\n<caption>Each row before and after tuning</caption>\n"
      "<thead><tr>";
  for (const auto& column : table.columns) {
    out += "<th scope=\"col\">" + html_escaped(column.title) + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr><th scope=\"row\">" + html_escaped(row.front()) + "</th>";
    for (std::size_t i = 1; i < row.size(); ++i) out += "<td>" + html_escaped(row[i]) + "</td>";
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table>\n</div>\n";
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// The drawing as a part of the page: without the prolog, in the page's own ink, named for readers.
std::string inline_svg(const DrawnPlot& plot) {
  std::string svg = read_file(plot.file);
  const std::size_t begin = svg.find("<svg");
  if (begin == std::string::npos) return {};
  svg.erase(0, begin);
  // Its titles are names of parts, which browsers show as tooltips.
  for (std::size_t title; (title = svg.find("<title>")) != std::string::npos;) {
    const std::size_t end = svg.find("</title>", title);
    if (end == std::string::npos) break;
    svg.erase(title, end + 8 - title);
  }
  // Every drawing brings the same ids.
  for (const char* id : {"gpDot", "gpPt", "textbox", "greybox", "gnuplot_canvas"}) {
    for (const char* before : {"id='", "id=\"", "href='#"}) {
      replace_all(svg, std::string(before) + id, before + plot.plot.name + "-" + id);
    }
  }
  for (const char* ink : {"rgb(  1,   2,   3)", "rgb(1,2,3)", "#010203"}) {
    replace_all(svg, ink, "currentColor");
  }
  // gnuplot's own ink would stand over the page's.
  for (const char* own : {" color=\"black\"", " color=\"white\""}) replace_all(svg, own, "");
  svg.insert(4, " role=\"img\" aria-label=\"" + html_escaped(plot.plot.title) + "\"");
  return svg;
}

std::string figure_html(const DrawnPlot& plot) {
  return "<figure>\n<h3>" + html_escaped(plot.plot.title) +
         "</h3>\n<div class=\"scroll\" role=\"region\" aria-label=\"" +
         html_escaped(plot.plot.title) + "\" tabindex=\"0\">\n" + inline_svg(plot) +
         "\n</div>\n<figcaption>" + html_escaped(plot.plot.caption) + "</figcaption>\n</figure>\n";
}

}  // namespace

std::string page(const Report& report, const std::vector<DrawnPlot>& plots,
                 const io::Json& recipe) {
  const std::string title = report.description.empty() ? "Comparison" : report.description;
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      html_escaped(title) + "</title>\n<style>" + kStyle +
      "</style>\n</head>\n<body>\n<main>\n<h1>" + html_escaped(title) +
      "</h1>\n<p class=\"quiet\">Model: " + html_escaped(report.model) + ". " +
      std::to_string(report.rows.size()) + " rows.</p>\n<h2>Table</h2>\n" + table_html(report);
  if (!plots.empty()) {
    out += "<h2>Plots</h2>\n<div class=\"plots\">\n";
    for (const DrawnPlot& plot : plots) out += figure_html(plot);
    out += "</div>\n";
  }
  out += "<details>\n<summary>The recipe</summary>\n<pre tabindex=\"0\">" +
         html_escaped(recipe.dump(2, ' ', false, io::Json::error_handler_t::replace)) +
         "</pre>\n</details>\n</main>\n</body>\n</html>\n";
  return out;
}

}  // namespace qloft::compare
