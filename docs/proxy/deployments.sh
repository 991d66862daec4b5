#!/bin/sh
# The deployments that marketers may start, as lines of a map of nginx. Run again when a deployment was deleted.
set -eu
for name in draft-theme/from-form submit-theme/from-form theme-action/from-form retry-deliveries/by-ops; do
  curl -fsS -u "$PREFECT_API_AUTH_STRING" "$PREFECT_API_URL/deployments/name/$name" |
    sed -E 's|^\{"id":"([0-9a-f-]{36})".*|"~^POST /api/deployments/\1/create_flow_run(\\?\|$)" start;|'
  echo
done
