"""The methods of a database whose class says that they are awaited."""

from kern.db.methods import Methods


class AwaitedMethods(Methods):
    """The methods of :class:`~kern.db.methods.Methods`, without the leading ``a``."""

    get_session = Methods.aget_session
    get_sessions = Methods.aget_sessions
    upsert_session = Methods.aupsert_session
    upsert_sessions = Methods.aupsert_sessions
    rename_session = Methods.arename_session
    delete_session = Methods.adelete_session
    delete_sessions = Methods.adelete_sessions
    get_run = Methods.aget_run
    get_runs = Methods.aget_runs
    upsert_run = Methods.aupsert_run
    delete_run = Methods.adelete_run
    get_approvals = Methods.aget_approvals
    get_approval = Methods.aget_approval
    update_approval = Methods.aupdate_approval
    create_approval = Methods.acreate_approval
    delete_approval = Methods.adelete_approval
    create_key = Methods.acreate_key
    list_keys = Methods.alist_keys
    revoke_key = Methods.arevoke_key
    find_key = Methods.afind_key
    upsert_config = Methods.aupsert_config
    get_config = Methods.aget_config
    list_configs = Methods.alist_configs
    list_components = Methods.alist_components
    set_current_version = Methods.aset_current_version
    delete_component = Methods.adelete_component
    delete_config = Methods.adelete_config
    get_pending_approval_count = Methods.aget_pending_approval_count
    get_user_memories = Methods.aget_user_memories
    get_user_memory = Methods.aget_user_memory
    upsert_user_memory = Methods.aupsert_user_memory
    delete_user_memory = Methods.adelete_user_memory
    delete_user_memories = Methods.adelete_user_memories
    clear_memories = Methods.aclear_memories
    get_all_memory_topics = Methods.aget_all_memory_topics
    get_user_memory_stats = Methods.aget_user_memory_stats
