"""Native extension modules in every worker, from private copies of their shared objects.

Nothing here is imported before a program uses it.  ``_cache`` keeps the copies between runs: ``_directory`` says where
that is safe, ``_contents`` what there is and what goes, ``_memory`` what is done where no file can be kept.
``_needing_object`` opens libraries that need each other.
"""
