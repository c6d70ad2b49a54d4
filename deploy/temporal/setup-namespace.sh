#!/bin/sh
# Makes the namespace (closed runs stay readable for 7 days) and the search attributes. May be repeated.
set -eu

attempts=0
until temporal operator cluster health >/dev/null 2>&1; do
  attempts=$((attempts + 1))
  if [ "$attempts" -ge 60 ]; then
    echo "Temporal at $TEMPORAL_ADDRESS is not healthy after a minute" >&2
    exit 1
  fi
  sleep 1
done

if temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update -n "$TEMPORAL_NAMESPACE" --retention 7d
else
  temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 7d
fi

# A new namespace is known to all services of the server only a moment later.
for attribute in SallyWorkspace SallyArea SallyEntity SallyStatus; do
  attempts=0
  until temporal operator search-attribute list -n "$TEMPORAL_NAMESPACE" | grep -qw "$attribute"; do
    temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" --name "$attribute" --type Keyword || true
    attempts=$((attempts + 1))
    if [ "$attempts" -ge 30 ]; then
      echo "The search attribute $attribute could not be made" >&2
      exit 1
    fi
    sleep 1
  done
done
echo "The namespace $TEMPORAL_NAMESPACE is ready"
