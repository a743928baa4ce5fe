#!/usr/bin/env bash
# Asks a PostgreSQL 15 for the expectations of the tests beside this script:
#   generate.sh [psql options]      reads *.in, writes *.tsv
# A line of a .in file is `type<TAB>input` or `set<TAB>NAME = value`, or, in expressions.in, an
# expression. Escapes in inputs are those of E'' strings.
set -euo pipefail
cd "$(dirname "$0")"
setup="
set timezone = 'UTC'; set datestyle = 'ISO, MDY';
create function pg_temp.probe(ty text, input text) returns text language plpgsql as \$\$
declare shown text; sent text; send regproc; code text; message text; detail text;
begin
  select typsend into send from pg_type where oid = ty::regtype;
  execute format('select format(''%%s'', %L::%s), encode(%s(%L::%s), ''hex'')', input, ty, send, input, ty)
    into shown, sent;
  return 'ok' || E'\t' || replace(replace(shown, '\\', '\\\\'), E'\n', '\n') || E'\t' || sent;
exception when others then
  get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
  return code || E'\t' || replace(replace(replace(message, '\\', '\\\\'), E'\n', '\n'), E'\t', '\t')
    || E'\t' || replace(replace(replace(detail, '\\', '\\\\'), E'\n', '\n'), E'\t', '\t');
end \$\$;
create function pg_temp.evaluate(expression text) returns text language plpgsql as \$\$
declare shown text;
begin
  execute format('select format(''%%s'', %s)', expression) into shown;
  return 'ok' || E'\t' || shown;
exception when others then
  return sqlstate || E'\t' || sqlerrm;
end \$\$;
"
for input in *.in; do
  {
    echo "$setup"
    while IFS= read -r line; do
      case $line in
        ''|'#'*) ;;
        set$'\t'*) printf 'set %s;\n' "${line#set$'\t'}"
                   printf "select E'%s';\n" "${line//\'/\\\'}" ;;
        *) if [ "$input" = expressions.in ]; then
             printf 'select $e$%s$e$ || E'"'\\\\t'"' || pg_temp.evaluate($e$%s$e$);\n' "$line" "$line"
           else
             ty=${line%%$'\t'*} text=${line#*$'\t'}
             printf "select '%s' || E'\\\\t' || \$e\$%s\$e\$ || E'\\\\t' || pg_temp.probe('%s', E'%s');\n" \
               "${ty//\'/\'\'}" "$text" "${ty//\'/\'\'}" "${text//\'/\\\'}"
           fi ;;
      esac
    done < "$input"
  } | psql -X -q -At -v ON_ERROR_STOP=1 "$@" > "${input%.in}.tsv"
done
psql -X -q -At -F $'\t' "$@" -f types.sql > types.txt
