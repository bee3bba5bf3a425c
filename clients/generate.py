#!/usr/bin/env python3
"""Writes the clients in Python, Go and JavaScript from the API document that the server gives (rpc.discover, OpenRPC 1.3).

usage: generate.py [DIRECTORY]             of the server at ZINIT_SOCKET, else of one that it builds and starts for the moment
       generate.py --document FILE [DIRECTORY]

Without DIRECTORY it writes beside itself. Types, methods and errors come from the document; what connects, sends and receives is written
by hand: templates/ for Python and JavaScript, go/client.go. Needs Python 3.11 and Go.
"""

import contextlib
import json
import keyword
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTICE = "Made by clients/generate.py from the API document of the server; do not edit it"


# The document.


def ask(path):
    """The document of the server at a socket."""
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("r", encoding="utf-8") as lines:
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n')
        return json.loads(lines.readline())["result"]


def document_of_this_tree():
    """The document of a server that is built from this tree, and ends again."""
    with tempfile.TemporaryDirectory() as work:
        path = work + "/socket"
        os.mkdir(work + "/services")
        subprocess.run(["go", "build", "-o", work + "/zinit", "."], cwd=HERE.parent, check=True)
        server = subprocess.Popen([work + "/zinit", "server", "--socket", path, "--config-dir", work + "/services"])
        try:
            while server.poll() is None:
                with contextlib.suppress(OSError):
                    return ask(path)
                time.sleep(0.05)
            sys.exit("the server ended before it answered")
        finally:
            server.terminate()
            server.wait()


class Api:
    """What the emitters need to know, in the order in which it is written."""

    def __init__(self, document):
        self.schemas = {}  # named types, sorted by name; only those that something refers to
        self.all = document["components"]["schemas"]
        self.errors = document["components"]["errors"]
        self.methods = [Method(m) for m in document["methods"]]
        self.notes = {n["name"]: n["params"] for n in document["x-notifications"]}
        self.words = {tuple(s["enum"]): name for name, s in sorted(self.all.items()) if "enum" in s}
        for part in [self.notes, {"$ref": "#/components/schemas/ErrorData"}, *(m.row for m in self.methods)]:
            self.use(part)
        for m in self.methods:
            m.gives_nothing = list(self.resolve(m.result).get("properties", {})) == ["ok"]
            if m.gives_nothing:
                self.schemas.pop(name_of(m.result), None)
            m.item = name_of(self.notes[m.sends]) if m.sends else None
        self.schemas = dict(sorted(self.schemas.items()))

    def resolve(self, schema):
        return self.all[name_of(schema)] if "$ref" in schema else schema

    def use(self, part):
        """Take the named types that a part of the document refers to; an enumeration that is spelt out becomes the named one that is equal."""
        if isinstance(part, list):
            for one in part:
                self.use(one)
        elif isinstance(part, dict):
            if name := self.words.get(tuple(part.get("enum", ()))):
                if part is not self.all[name]:
                    part.pop("enum"), part.pop("type")
                    part["$ref"] = "#/components/schemas/" + name
            if "$ref" in part and name_of(part) not in self.schemas:
                self.schemas[name_of(part)] = self.all[name_of(part)]
                self.use(self.all[name_of(part)])
            for one in part.values():
                self.use(one)


def name_of(schema):
    return schema["$ref"].rsplit("/", 1)[1]


class Method:
    def __init__(self, row):
        self.row, self.name, self.summary, self.result = row, row["name"], row["summary"], row["result"]["schema"]
        self.required = [p for p in row["params"] if p["required"]]
        self.optional = [p for p in row["params"] if not p["required"]]
        tags = [t["name"] for t in row.get("tags", [])]
        self.reading, self.waits, self.sends = "reading" in tags, "waits" in tags, row.get("x-notification")
        self.errors = [e["data"]["kind"] for e in row["errors"]]
        if self.sends:  # an iterator: events.subscribe is events, logs.follow is follow
            group, verb = self.name.split(".")
            self.iterator = group if verb == "subscribe" else verb
        self.numbered = any(p["name"] == "lines" for p in row["params"])  # there is a past: an iterator can go on where it was

    def sentence(self):
        text = self.summary
        return (text if text.startswith("`") else text[0].upper() + text[1:]) + "."


def about(param):
    """What a parameter means, with its default."""
    default = param["schema"].get("default")
    return param["description"] + (f" (default {json.dumps(default)})" if default not in (None, False) else "")


def merged(schema):
    """An object that can be any of the alternatives: what only some have is optional."""
    properties, required = {}, None
    for one in schema["oneOf"]:
        for key, value in one["properties"].items():
            old = properties.get(key, {})
            properties[key] = value | ({"enum": old["enum"] + value["enum"]} if "enum" in old else {})
        required = [k for k in one["required"] if required is None or k in required]
    return {"properties": properties, "required": required}


def members(schema):
    """The members of an object: name, schema, whether it is always there. None: it is no object with known members."""
    if "oneOf" in schema and all("properties" in one for one in schema["oneOf"]):
        schema = merged(schema)
    if "properties" not in schema:
        return None
    return [(k, s, k in schema.get("required", [])) for k, s in schema["properties"].items()]


def camel(name):
    return "".join(w[:1].upper() + w[1:] for w in re.split(r"[._]", name))


def filled(template, parts):
    """A template whose lines `# @name@` or `// @name@` are replaced by the parts of these names, indented alike."""

    def part(match):
        lines = parts.pop(match[2]).strip("\n").split("\n")
        return "\n".join((match[1] + line).rstrip() for line in lines)

    text = re.sub(r"^( *)(?:#|//) @([a-z ]+)@$", part, (HERE / "templates" / template).read_text(), flags=re.M)
    assert not parts, f"{template} has no place for {list(parts)}"
    return text


# Python.


def python_type(schema):
    if "$ref" in schema:
        return name_of(schema)
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(v) for v in schema['enum'])}]"
    if "oneOf" in schema:
        return " | ".join(python_type(one) for one in schema["oneOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(python_type({"type": one}) for one in kind)
    if kind == "array":
        return f"list[{python_type(schema['items'])}]"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {python_type(inner) if inner else 'Any'}]"
    return {"string": "str", "boolean": "bool", "integer": "int", "number": "float", "null": "None"}[kind]


def python_object(name, schema):
    """A TypedDict, before it those of its sections."""
    before, lines = "", []
    every = members(schema)
    partly = not any(always for _, _, always in every)
    plain = all(k.isidentifier() and not keyword.iskeyword(k) for k, _, _ in every)
    for key, member, always in every:
        kind = python_type(member)
        if members(member):
            kind = name + camel(key)
            before += python_object(kind, member)
        if not (always or partly):
            kind = f"NotRequired[{kind}]"
        note = f"  # {about({'schema': member, 'description': member['description']})}" if "description" in member else ""
        lines.append(f"    {key}: {kind}{note}" if plain else f'    "{key}": {kind!r},{note}')
    total = ", total=False" if partly else ""
    if plain:
        return f"{before}class {name}(TypedDict{total}):\n" + "\n".join(lines) + "\n\n\n"
    return f'{before}{name} = TypedDict("{name}", {{\n' + "\n".join(lines) + f"\n}}{total})\n\n\n"


def python_method(m, blocking):
    names = [p["name"] + ("_" if keyword.iskeyword(p["name"]) else "") for p in m.required + m.optional]
    heads = [f"{n}: {python_type(p['schema'])}" for n, p in zip(names, m.required)]
    if m.optional:
        heads += ["*"] + [f"{n}: {python_type(p['schema'])} | None = None" for n, p in zip(names[len(m.required) :], m.optional)]
    docs = [f"    {n}: {about(p)}" for n, p in zip(names, m.required + m.optional)]
    if m.errors:
        docs.append("    Raises " + ", ".join(camel(k) for k in m.errors) + ".")
    doc = f'    """{m.sentence()}'
    doc += "\n\n" + "\n".join(docs) + '\n    """\n' if docs else '"""\n'
    name = m.iterator if m.sends else m.name.replace(".", "_")
    head = f"def {name}({', '.join(['self', *heads])})"
    given = ", ".join([n for n, _ in zip(names, m.required)] + [f"{n}={n}" for n in names[len(m.required) :]])
    if m.sends:
        if blocking:
            return f"{head} -> Stream[{m.item}]:\n{doc}    return Stream(self, self._async.{name}({given}))\n"
        sent = ", ".join(f'"{p["name"]}": {n}' for n, p in zip(names, m.required + m.optional))
        return f'{head} -> AsyncStream[{m.item}]:\n{doc}    return AsyncStream(self, "{m.name}", {{{sent}}}, {m.numbered})\n'
    result = "None" if m.gives_nothing else python_type(m.result)
    value = "" if m.gives_nothing else "return "
    if blocking:
        return f"{head} -> {result}:\n{doc}    {value}self._run(self._async.{name}({given}))\n"
    sent = ", ".join(f'"{p["name"]}": {n}' for n, p in zip(names, m.required + m.optional))
    how = "".join(f", {word}=True" for word in ("reading", "waits") if getattr(m, word))
    return f'async {head} -> {result}:\n{doc}    {value}await self._call("{m.name}", {{{sent}}}{how})\n'


def python(api):
    types = ""
    for name, schema in api.schemas.items():
        types += python_object(name, schema) if members(schema) else f"{name} = {python_type(schema)}\n\n\n"
    errors = ""
    for kind, error in api.errors.items():
        errors += f'class {camel(kind)}(ZinitError):\n    """{error["code"]}: {error["message"]}."""\n\n\n'
    errors += "_KINDS: dict[str, type[ZinitError]] = {\n" + "".join(f'    "{kind}": {camel(kind)},\n' for kind in api.errors) + "}\n"
    methods = [m for m in api.methods if m.name != "events.unsubscribe"]
    parts = {"notice": NOTICE + ":\nthe part that is written by hand is clients/templates/zinit.py.", "types": types, "errors": errors}
    parts["async methods"] = "\n".join(python_method(m, False) for m in methods)
    parts["methods"] = "\n".join(python_method(m, True) for m in methods)
    return {"python/zinit.py": filled("zinit.py", parts)}


# Go.

GO_WORDS = {"pid": "PID", "ppid": "PPID", "cpu": "CPU", "ms": "MS", "ok": "OK", "fds": "FDs", "rpc": "RPC", "id": "ID"}


def go_name(name):
    return "".join(GO_WORDS.get(w, w[:1].upper() + w[1:]) for w in re.split(r"[._-]", name))


def go_type(schema, api):
    if "$ref" in schema:
        return name_of(schema)
    if "oneOf" in schema:
        inner = [one for one in schema["oneOf"] if one.get("type") != "null"]
        if len(inner) > 1 and "$ref" in inner[0]:
            return name_of(inner[0])  # any of them would do
        return "*" + go_type(inner[0], api) if len(inner) == 1 else "any"
    kind = schema.get("type")
    if isinstance(kind, list):
        return "any"
    if kind == "array":
        return "[]" + go_type(schema["items"], api)
    if kind == "object":
        return "map[string]any"
    return {"string": "string", "boolean": "bool", "integer": "int64", "number": "float64"}[kind]


def go_comment(text):
    return "".join(f"// {line}".rstrip() + "\n" for line in text.split("\n"))


def go_schema(name, schema, api):
    if "enum" in schema:
        text = f"type {name} string\n\nconst (\n"
        return text + "".join(f'{name}{go_name(v)} {name} = "{v}"\n' for v in schema["enum"]) + ")\n\n"
    every = members(schema)
    if all(members(api.resolve(s)) for _, s, _ in every):  # sections with keys
        text = f"{name} is a configuration: sections, and in them keys.\n"
        for section, s, _ in every:
            text += f"\n{section}:\n" + "".join(f"  - {k}: {about({'schema': v, **v})}\n" for k, v, _ in members(api.resolve(s)))
        return go_comment(text.strip()) + f"type {name} map[string]map[string]any\n\n"
    text = f"type {name} struct {{\n"
    for key, s, always in every:
        kind = go_type(s, api)
        text += f'{go_name(key)} {kind} `json:"{key}{"" if always else ",omitempty"}"`\n'
    return text + "}\n\n"


def go_options(m, name, api):
    """The struct of the optional parameters. Its zero values are the defaults: where they differ it has pointers."""
    text = f"// {name} are the optional parameters of {go_name(m.iterator if m.sends else m.name)}.\ntype {name} struct {{\n"
    for p in m.optional:
        kind = go_type(p["schema"], api)
        if kind in ("int64", "bool") and p["schema"].get("default"):
            kind = "*" + kind
        text += f'{go_name(p["name"])} {kind} `json:"{p["name"]},omitempty"` // {about(p)}\n'
    return text + "}\n\n"


def go_method(m, api):
    name = go_name(m.iterator if m.sends else m.name)
    heads = ["ctx context.Context"] + [f"{go_parameter(p)} {go_type(p['schema'], api)}" for p in m.required]
    text, given = "", "nil"
    if m.optional:
        text += go_options(m, name + "Options", api)
        heads.append(f"options *{name}Options")
    verb = m.summary.split()[0].endswith("s")  # others say what is returned
    comment = f"{name} {'' if verb else 'returns '}{m.summary}."
    if m.errors:
        comment += "\n\nErrors: " + ", ".join("[Err" + camel(k) + "]" for k in m.errors) + "."
    body = ""
    if m.required:
        body = "params := struct {\n" + "".join(f'{go_name(p["name"])} {go_type(p["schema"], api)} `json:"{p["name"]}"`\n' for p in m.required)
        body += f"*{name}Options\n" if m.optional else ""
        body += "}{" + ", ".join([go_parameter(p) for p in m.required] + (["options"] if m.optional else [])) + "}\n"
        given = "params"
    elif m.optional:
        given = "options"
    text += go_comment(comment) + f"func (c *Client) {name}({', '.join(heads)}) "
    if m.sends:
        numbered = "true" if m.numbered else "false"
        return text + f'(iter.Seq2[*{m.item}, error], error) {{\n{body}return subscribe[*{m.item}](ctx, c, "{m.name}", {given}, {numbered})\n}}\n\n'
    sent = f'(ctx, c, "{m.name}", {given}, {"true" if m.reading else "false"})'
    if m.gives_nothing:
        return text + f"error {{\n{body}_, err := call[any]{sent}\nreturn err\n}}\n\n"
    result = go_type(m.result, api)
    if "oneOf" in m.result:
        result = "*" + name + "Result"
        text = f"// {name}Result is one of them.\ntype {name}Result struct {{\n" + "".join(name_of(s) + "\n" for s in m.result["oneOf"]) + "}\n\n" + text
    elif "$ref" in m.result and "properties" in api.resolve(m.result) and not go_schema(result, api.resolve(m.result), api).endswith("any\n\n"):
        result = "*" + result
    return text + f"({result}, error) {{\n{body}return call[{result}]{sent}\n}}\n\n"


def go_parameter(param):
    name = go_name(param["name"])
    return name[:1].lower() + name[1:]


def go(api):
    text = "// Code generated by clients/generate.py from the API document of the server. DO NOT EDIT.\n\n"
    text += 'package zinit\n\nimport (\n"context"\n"iter"\n)\n\n'
    for name, schema in api.schemas.items():
        text += go_schema(name, schema, api)
    for note in api.notes.values():
        text += f"func (n *{name_of(note)}) mark() (seq int64, lost *int64) {{ return n.Seq, &n.Lost }}\n\n"
    text += "// The kinds of errors, for errors.Is.\nvar (\n"
    for kind, e in api.errors.items():
        text += f'Err{camel(kind)} = &Error{{Code: {e["code"]}, Kind: "{kind}", Message: "{e["message"]}"}}\n'
    text += ")\n\n"
    text += "".join(go_method(m, api) for m in api.methods if m.name != "events.unsubscribe")
    return {"go/methods.go": subprocess.run(["gofmt"], input=text, text=True, capture_output=True, check=True).stdout}


# JavaScript, and its types for TypeScript.


def ts_type(schema):
    if "$ref" in schema:
        return name_of(schema)
    if "enum" in schema:
        return " | ".join(json.dumps(v) for v in schema["enum"])
    if "oneOf" in schema:
        return " | ".join(ts_type(one) for one in schema["oneOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(ts_type({"type": one}) for one in kind)
    if kind == "array":
        inner = ts_type(schema["items"])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if "properties" in schema:
        return "{ " + "; ".join(f"{k}{'' if always else '?'}: {ts_type(s)}" for k, s, always in members(schema)) + " }"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"Record<string, {ts_type(inner) if inner else 'unknown'}>"
    return {"string": "string", "boolean": "boolean", "integer": "number", "number": "number", "null": "null"}[kind]


def ts_members(every, indent):
    text = ""
    for key, s, always in every:
        if "description" in s:
            text += f"{indent}/** {about({'schema': s, **s})} */\n"
        if members(s) and "$ref" not in s and "oneOf" not in s:
            text += f"{indent}{key}{'' if always else '?'}: {{\n{ts_members(members(s), indent + '  ')}{indent}}};\n"
        else:
            text += f"{indent}{key}{'' if always else '?'}: {ts_type(s)};\n"
    return text


def ts_schema(name, schema):
    if "properties" not in schema:
        return f"export type {name} = {ts_type(schema)};\n\n"
    return f"export interface {name} {{\n{ts_members(members(schema), '  ')}}}\n\n"


def js_name(m):
    name = camel(m.iterator if m.sends else m.name)
    return name[:1].lower() + name[1:]


def js_method(m):
    names = [p["name"] for p in m.required]
    heads = names + (["options"] if m.optional else [])
    sent = "{ " + ", ".join(names + (["...options"] if m.optional else [])) + " }" if heads else "{}"
    if m.sends:
        numbered = "true" if m.numbered else "false"
        return f'{js_name(m)}({", ".join(heads)}) {{\n  return new Stream(this, "{m.name}", {sent}, {numbered});\n}}\n'
    how = ", ".join(f"{word}: true" for word in ("reading", "waits") if getattr(m, word))
    return f'{js_name(m)}({", ".join(heads)}) {{\n  return this._call("{m.name}", {sent}{f", {{ {how} }}" if how else ""});\n}}\n'


def ts_method(m):
    lines = [m.sentence()] + [f"@param {p['name']} {about(p)}" for p in m.required]
    lines += [f"@param options.{p['name']} {about(p)}" for p in m.optional]
    if m.errors:
        lines.append("@throws ZinitError of kind " + ", ".join(m.errors))
    text = "/**\n" + "".join(f" * {line}\n" for line in lines) + " */\n"
    heads = [f"{p['name']}: {ts_type(p['schema'])}" for p in m.required]
    if m.optional:
        heads.append("options?: { " + "; ".join(f"{p['name']}?: {ts_type(p['schema'])}" for p in m.optional) + " }")
    result = f"Stream<{m.item}>" if m.sends else f"Promise<{'void' if m.gives_nothing else ts_type(m.result)}>"
    return text + f"{js_name(m)}({', '.join(heads)}): {result};\n"


def javascript(api):
    methods = [m for m in api.methods if m.name != "events.unsubscribe"]
    notice = NOTICE + ":\nthe part that is written by hand is in clients/templates."
    types = "".join(ts_schema(name, schema) for name, schema in api.schemas.items())
    types += "export type ErrorKind =" + "".join(f'\n  | "{kind}"' for kind in api.errors) + ";\n"
    body = {"notice": "".join(f"// {line}\n" for line in notice.split("\n"))}
    return {
        "javascript/zinit.mjs": filled("zinit.mjs", body | {"methods": "\n".join(map(js_method, methods))}),
        "javascript/zinit.d.mts": filled("zinit.d.mts", body | {"types": types, "methods": "\n".join(map(ts_method, methods))}),
    }


def main(words):
    if words[:1] == ["--document"]:
        document = json.loads(Path(words[1]).read_text() if words[1] != "-" else sys.stdin.read())
        words = words[2:]
    elif path := os.environ.get("ZINIT_SOCKET"):
        document = ask(path)
    else:
        document = document_of_this_tree()
    out = Path(words[0]) if words else HERE
    api = Api(document)
    for name, text in (python(api) | go(api) | javascript(api)).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
