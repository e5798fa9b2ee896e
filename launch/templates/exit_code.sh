echo "job $SLURM_JOB_ID: exit code $code"
case $code in
  # Saved; or ended by USR1 (128 + 10), which came before the program could listen: nothing was begun.
  85 | 138) {proceed} ;;
  # Done, bad input, or told to stop: whatever waits to continue this run has nothing to do.
  0 | 2 | 3) scancel --state=PENDING --name="$SLURM_JOB_NAME" --user="$SLURM_JOB_USER" ;;
esac
exit "$code"
