"""The names that users of agno know, by where they are: each is there, or the page says why not.

Written down in kern's own words, as names only.
"""

KEYWORDS: dict[str, str] = {
    "kern.agent:Agent": """
        model name id role description user_id session_id db metadata debug_mode debug_level
        telemetry instructions system_message system_message_role expected_output additional_context
        additional_input introduction markdown add_name_to_context add_datetime_to_context
        datetime_format timezone_identifier add_location_to_context resolve_in_context
        use_instruction_tags build_context build_user_context user_message_role
        add_history_to_context num_history_runs num_history_messages max_tool_calls_from_history
        session_state add_session_state_to_context enable_agentic_state overwrite_db_session_state
        cache_session search_past_sessions num_past_sessions_to_search
        num_past_session_runs_in_search enable_session_summaries add_session_summary_to_context
        session_summary_manager store_media store_tool_messages store_history_messages store_events
        events_to_skip checkpoint
        tools cache_callables callable_tools_cache_key tool_call_limit tool_choice tool_hooks
        read_chat_history read_tool_call_history send_media_to_model skills
        input_schema output_schema structured_outputs use_json_mode parse_response parser_model
        parser_model_prompt output_model output_model_prompt followups num_followups followup_model
        save_response_to_file
        pre_hooks post_hooks dependencies add_dependencies_to_context knowledge search_knowledge
        add_knowledge_to_context knowledge_retriever knowledge_filters
        enable_agentic_knowledge_filters references_format memory_manager enable_agentic_memory
        update_memory_on_run enable_user_memories add_memories_to_context learning reasoning_model
        reasoning_agent reasoning reasoning_min_steps reasoning_max_steps fallback_models
        fallback_config retries delay_between_retries exponential_backoff compress_tool_results
        compression_manager add_culture_to_context culture_manager update_cultural_knowledge
        enable_agentic_culture
        filesystem compaction offload_tool_results media_storage sandbox team_id workflow_id stream
        stream_events add_search_knowledge_instructions update_knowledge add_learnings_to_context
        callable_knowledge_cache_key""",
    "kern.team:Team": """
        members name model role instructions db tools mode markdown skills session_state
        cache_callables show_members_responses respond_directly share_member_interactions
        determine_input_for_members add_team_history_to_members num_team_history_runs
        delegate_to_all_members delegate_task_to_all_members get_member_information_tool
        stream_member_events store_member_responses read_team_history send_team_history""",
    "kern.models.openai:OpenAIResponses": """
        id api_key base_url temperature top_p max_output_tokens reasoning_effort store background
        timeout max_retries default_headers request_params reasoning reasoning_summary verbosity
        parallel_tool_calls max_tool_calls include metadata truncation user service_tier
        strict_output use_previous_response_id organization default_query extra_headers extra_query
        extra_body http_client client_params client async_client cache_response cache_ttl cache_dir
        retries delay_between_retries exponential_backoff""",
    "kern.models.openai:OpenAIChat": """
        id max_tokens max_completion_tokens frequency_penalty presence_penalty seed stop logit_bias
        logprobs top_logprobs reasoning_effort verbosity modalities audio store metadata
        strict_output role_map retries""",
    "kern.models.anthropic:Claude": """
        id max_tokens thinking temperature top_p top_k stop_sequences cache_system_prompt
        extended_cache_time cache_tools betas mcp_servers citations api_key auth_token
        default_headers timeout client_params request_params""",
    "kern.models.aws:Claude": "id aws_access_key aws_secret_key aws_region session",
    "kern.models.google:Gemini": """
        id temperature top_p top_k max_output_tokens stop_sequences seed thinking_budget
        include_thoughts thinking_level response_modalities speech_config safety_settings search
        url_context grounding cached_content api_key vertexai project_id location""",
    "kern.tools:Toolkit": """
        name tools async_tools instructions add_instructions include_tools exclude_tools
        requires_confirmation_tools external_execution_required_tools stop_after_tool_call_tools
        show_result_tools cache_results cache_ttl cache_dir timeout auto_register""",
    "kern.tools:tool": """
        name description title annotations strict instructions add_instructions show_result
        stop_after_tool_call requires_confirmation requires_user_input user_input_fields
        external_execution external_execution_silent pre_hook post_hook tool_hooks cache_results
        cache_dir cache_ttl""",
    "kern.tools.mcp:MCPTools": """
        command url transport env server_params session timeout_seconds include_tools exclude_tools
        tool_name_prefix headers header_provider requires_confirmation_tools""",
    "kern.agent:Agent.run": """
        stream stream_events user_id session_id session_state run_id audio images videos files
        knowledge_filters add_history_to_context add_dependencies_to_context
        add_session_state_to_context dependencies metadata output_schema yield_run_output
        debug_mode""",
    "kern.agent:Agent.arun": "background",
    "kern.agent:Agent.print_response": """
        markdown show_message show_reasoning show_full_reasoning console
        tags_to_include_in_markdown stream""",
    "kern.agent:Agent.continue_run": """
        run_response run_id requirements session_id user_id input continue_from fork regenerate
        replace_original additional_instructions stream stream_events yield_run_output dependencies
        metadata knowledge_filters debug_mode""",
    "kern.agent:Agent.get_session_messages": """
        session_id last_n_runs limit skip_roles skip_statuses skip_history_messages""",
    "kern.agent:Agent.save": "db stage label notes",
    "kern.agent:Agent.load": "id db registry label version",
    "kern.agent:Agent.delete": "db hard_delete",
    "kern.memory:MemoryManager": """
        model system_message memory_capture_instructions additional_instructions db delete_memories
        update_memories add_memories clear_memories""",
    "kern.compression.manager:CompressionManager": """
        model compress_tool_results compress_tool_results_limit compress_token_limit
        compress_tool_call_instructions stats""",
    "kern.session.summary:SessionSummaryManager": """
        model session_summary_prompt summary_request_message last_n_runs conversation_limit""",
    "kern.guardrails:PIIDetectionGuardrail": """
        mask_pii enable_ssn_check enable_credit_card_check enable_email_check enable_phone_check
        custom_patterns""",
    "kern.guardrails:PromptInjectionGuardrail": "injection_patterns",
    "kern.guardrails:OpenAIModerationGuardrail": """
        moderation_model raise_for_categories api_key""",
    "kern.models.fallback:FallbackConfig": """
        on_error on_rate_limit on_context_overflow callback""",
    "kern.agent:FollowupConfig": """
        model instructions num_followups min_followups max_followups""",
    "kern.registry:Registry": "tools models dbs schemas functions",
    "kern.skills:LocalSkills": "path validate",
    "kern.skills:Skills": "loaders",
    "kern.knowledge:Knowledge": """
        name description vector_db contents_db max_results readers""",
    "kern.vectordb.pgvector:PgVector": "table_name schema db_url embedder search_type",
    "kern.media:Image": """
        url filepath content id format mime_type detail alt_text original_prompt revised_prompt""",
    "kern.media:Audio": """
        url filepath content id format mime_type duration sample_rate channels transcript
        expires_at""",
    "kern.media:Video": "url filepath content id format mime_type width height fps",
    "kern.media:File": "url filepath content external mime_type filename format name size",
    "kern.memory:UserMemory": """
        memory memory_id topics user_id input created_at updated_at feedback agent_id""",
    "kern.run.requirement:UserFeedbackQuestion": """
        question header options multi_select selected_options""",
    "kern.run.requirement:UserFeedbackOption": "label description selected",
    "kern.tools:ToolResult": "content metadata images videos audios files",
    "kern.exceptions:RetryAgentRun": "exc user_message agent_message messages",
    "kern.exceptions:InputCheckError": "message check_trigger additional_data",
    "kern.db.sqlite:SqliteDb": "db_file db_engine db_url session_table approvals_table",
    "kern.db.postgres:PostgresDb": """
        db_url db_engine db_schema session_table approvals_table memory_table knowledge_table""",
}
"""What each constructor, or function, takes by name."""

MEMBERS: dict[str, str] = {
    "kern.agent:Agent": """
        run arun print_response aprint_response continue_run acontinue_run cancel_run acancel_run
        get_run_output aget_run_output get_last_run_output aget_last_run_output get_session
        aget_session save_session asave_session delete_session adelete_session get_session_state
        aget_session_state update_session_state aupdate_session_state get_session_messages
        aget_session_messages get_chat_history aget_chat_history get_session_summary
        aget_session_summary get_session_metrics aget_session_metrics get_session_name
        aget_session_name set_session_name aset_session_name rename generate_session_name
        get_user_memories aget_user_memories fork_session afork_session to_dict from_dict save load
        delete add_tool set_tools get_tools clear_callable_cache get_system_message deep_copy
        as_tool cli_app acli_app compact acompact get_relevant_docs_from_knowledge
        add_to_knowledge""",
    "kern.run.agent:RunOutput": """
        run_id session_id agent_id agent_name user_id status content content_type messages tools
        metrics model model_provider metadata created_at events to_dict to_json from_dict input
        parent_run_id reasoning_content reasoning_steps reasoning_messages images videos audio files
        response_audio citations references additional_input model_provider_data followups
        session_state requirements last_checkpoint_at_message_index forked_from_run_id
        forked_from_message_index forked_from_session_id regenerated_from is_paused is_cancelled
        active_requirements tools_requiring_confirmation tools_requiring_user_input
        tools_awaiting_external_execution get_content_as_string""",
    "kern.run.base:RunContext": """
        run_id session_id user_id dependencies knowledge_filters metadata session_state
        output_schema messages tools knowledge members workflow_id workflow_name""",
    "kern.run.requirement:RunRequirement": """
        id created_at tool_execution confirmation confirmation_note user_input_schema
        user_feedback_schema external_execution_result needs_confirmation needs_user_input
        needs_user_feedback needs_external_execution confirm reject provide_user_input
        provide_user_feedback set_external_execution_result is_resolved pause_type to_dict
        from_dict member_agent_id member_agent_name member_run_id""",
    "kern.models.response:ToolExecution": """
        tool_call_id tool_name tool_args result tool_call_error metrics child_run_id
        stop_after_tool_call created_at requires_confirmation confirmed confirmation_note
        requires_user_input user_input_schema user_feedback_schema answered
        external_execution_required approval_type approval_id is_paused""",
    "kern.models.message:Message": """
        role content id name tool_call_id tool_calls tool_name tool_args tool_call_error images
        audio videos files audio_output image_output reasoning_content redacted_reasoning_content
        citations references provider_data compressed_content from_history stop_after_tool_call
        metrics created_at get_content_string to_dict from_dict""",
    "kern.session:AgentSession": """
        session_id agent_id user_id session_data metadata agent_data runs summary created_at
        updated_at get_run get_messages get_chat_history get_tool_calls get_session_summary
        upsert_run""",
    "kern.metrics:RunMetrics": """
        input_tokens output_tokens total_tokens audio_input_tokens audio_output_tokens
        audio_total_tokens cache_read_tokens cache_write_tokens reasoning_tokens cost duration
        time_to_first_token details additional_metrics""",
    "kern.tools:Function": """
        name description parameters entrypoint approval_type from_callable to_dict""",
    "kern.tools:FunctionCall": "function arguments result call_id error",
    "kern.tools.function:UserInputField": "name field_type description value",
    "kern.run.agent:RunInput": """
        input_content images videos audios files input_content_string""",
    "kern.media:Image": "get_content_bytes to_base64 from_base64 to_dict",
    "kern.models.base:Model": """
        id name provider response_cache delay_between_retries exponential_backoff
        supports_native_structured_outputs supports_json_schema_outputs system_prompt instructions
        invoke ainvoke invoke_stream ainvoke_stream response aresponse response_stream
        aresponse_stream count_tokens acount_tokens""",
    "kern.vectordb.document:Document": """
        content id name meta_data content_id embedding reranking_score usage size""",
    "kern.run:RunStatus": """
        pending running completed paused cancelled error regenerated""",
    "kern.db.base:SessionType": "AGENT TEAM WORKFLOW",
    "kern.exceptions:CheckTrigger": """
        OFF_TOPIC INPUT_NOT_ALLOWED OUTPUT_NOT_ALLOWED VALIDATION_FAILED PROMPT_INJECTION
        PII_DETECTED""",
    "kern.run.agent:RunEvent": """
        run_started run_content run_content_completed run_intermediate_content run_completed
        run_error run_cancelled run_paused run_continued pre_hook_started pre_hook_completed
        post_hook_started post_hook_completed tool_call_started tool_call_completed tool_call_error
        reasoning_started reasoning_step reasoning_content_delta reasoning_completed
        memory_update_started memory_update_completed session_summary_started
        session_summary_completed parser_model_response_started parser_model_response_completed
        output_model_response_started output_model_response_completed model_request_started
        model_request_completed compression_started compression_completed compaction_started
        compaction_completed followups_started followups_completed custom_event""",
    "kern.run.agent:RunOutputEvent": """
        event run_id session_id agent_id agent_name created_at content tools parent_run_id""",
    "kern.run.agent:RunStartedEvent": "model model_provider",
    "kern.run.agent:RunContentEvent": """
        content content_type reasoning_content citations response_audio image references""",
    "kern.run.agent:RunCompletedEvent": """
        content content_type reasoning_content citations images videos audio files response_audio
        references reasoning_steps metadata metrics session_state""",
    "kern.run.agent:RunErrorEvent": "content error_type error_id additional_data",
    "kern.run.agent:RunCancelledEvent": "reason is_cancelled",
    "kern.run.agent:RunPausedEvent": "tools requirements active_requirements is_paused",
    "kern.run.agent:PreHookStartedEvent": "pre_hook_name run_input",
    "kern.run.agent:PostHookStartedEvent": "post_hook_name",
    "kern.run.agent:ToolCallCompletedEvent": "tool content images videos audio files",
    "kern.run.agent:ToolCallErrorEvent": "tool error",
    "kern.run.agent:ReasoningStepEvent": "content reasoning_content",
    "kern.run.agent:MemoryUpdateCompletedEvent": "memories",
    "kern.run.agent:SessionSummaryCompletedEvent": "session_summary",
    "kern.run.agent:ModelRequestCompletedEvent": """
        input_tokens output_tokens total_tokens time_to_first_token reasoning_tokens
        cache_read_tokens cache_write_tokens""",
    "kern.run.agent:CompressionCompletedEvent": """
        tool_results_compressed original_size compressed_size""",
    "kern.run.agent:CompactionCompletedEvent": """
        messages_compacted tokens_before tokens_after archived""",
    "kern.run.agent:FollowupsCompletedEvent": "followups",
    "kern.run.agent:CustomEvent": "tool_call_id",
    "kern.tools:Toolkit": "register functions get_functions connect close",
    "kern.memory:MemoryManager": """
        get_user_memories aget_user_memories get_user_memory add_user_memory replace_user_memory
        delete_user_memory clear create_user_memories acreate_user_memories update_memory_task
        aupdate_memory_task search_user_memories optimize_memories aoptimize_memories""",
    "kern.reasoning.step:ReasoningStep": """
        title action result reasoning next_action confidence""",
    "kern.exceptions:ModelProviderError": "message status_code model_name model_id",
    "kern.db.sqlite:SqliteDb": """
        get_session get_sessions upsert_session upsert_sessions rename_session delete_session
        delete_sessions get_run get_runs upsert_run delete_run get_user_memories get_user_memory
        upsert_user_memory delete_user_memory delete_user_memories clear_memories
        get_all_memory_topics get_user_memory_stats get_approvals get_approval update_approval
        delete_approval get_pending_approval_count create_approval upsert_component upsert_config
        get_config list_configs set_current_version list_components delete_component
        delete_config""",
}
"""What each class has as an attribute or a method."""

NAMES: dict[str, str] = {
    "kern.agent": """
        Agent RunOutput RunEvent RunOutputEvent RunStartedEvent RunContentEvent RunCompletedEvent
        RunPausedEvent RunErrorEvent RunCancelledEvent Function Toolkit Message AgentSession
        FollowupConfig FallbackConfig""",
    "kern.agent.agent": "Agent",
    "kern.run": """
        RunContext RunStatus CancellationStage get_cancellation_manager
        set_cancellation_manager""",
    "kern.run.base": "RunContext RunStatus",
    "kern.run.agent": """
        RunInput RunOutput RunEvent RunOutputEvent RunStartedEvent RunContentEvent
        RunContentCompletedEvent RunIntermediateContentEvent RunCompletedEvent RunErrorEvent
        RunCancelledEvent RunPausedEvent RunContinuedEvent PreHookStartedEvent
        PreHookCompletedEvent PostHookStartedEvent PostHookCompletedEvent ToolCallStartedEvent
        ToolCallCompletedEvent ToolCallErrorEvent ReasoningStartedEvent ReasoningStepEvent
        ReasoningContentDeltaEvent ReasoningCompletedEvent MemoryUpdateStartedEvent
        MemoryUpdateCompletedEvent SessionSummaryStartedEvent SessionSummaryCompletedEvent
        ParserModelResponseStartedEvent ParserModelResponseCompletedEvent
        OutputModelResponseStartedEvent OutputModelResponseCompletedEvent ModelRequestStartedEvent
        ModelRequestCompletedEvent CompressionStartedEvent CompressionCompletedEvent
        CompactionStartedEvent CompactionCompletedEvent FollowupsStartedEvent
        FollowupsCompletedEvent CustomEvent""",
    "kern.run.requirement": "RunRequirement",
    "kern.run.cancel": """
        set_cancellation_manager get_cancellation_manager register_run aregister_run cancel_run
        acancel_run is_cancelled ais_cancelled cleanup_run acleanup_run raise_if_cancelled
        araise_if_cancelled get_active_runs aget_active_runs""",
    "kern.run.cancellation_management.base": "BaseRunCancellationManager",
    "kern.models.utils": "get_model",
    "kern.models.base": "Model",
    "kern.models.message": "Message",
    "kern.models.response": "ToolExecution",
    "kern.models.openai": "OpenAIChat OpenAIResponses",
    "kern.models.openai.like": "OpenAILike",
    "kern.models.fallback": "FallbackConfig",
    "kern.models.azure": "AzureOpenAI",
    "kern.models.ollama": "Ollama",
    "kern.models.groq": "Groq",
    "kern.models.mistral": "MistralChat",
    "kern.models.deepseek": "DeepSeek",
    "kern.models.xai": "xAI",
    "kern.models.openrouter": "OpenRouter",
    "kern.models.together": "Together",
    "kern.models.litellm": "LiteLLM",
    "kern.models.vllm": "VLLM",
    "kern.models.lmstudio": "LMStudio",
    "kern.tools": "tool Function FunctionCall Toolkit",
    "kern.tools.function": "Function FunctionCall ToolResult UserInputField",
    "kern.tools.toolkit": "Toolkit",
    "kern.tools.user_feedback": "UserFeedbackTools",
    "kern.tools.user_control_flow": "UserControlFlowTools",
    "kern.tools.hackernews": "HackerNewsTools",
    "kern.tools.websearch": "WebSearchTools",
    "kern.tools.duckduckgo": "DuckDuckGoTools",
    "kern.tools.yfinance": "YFinanceTools",
    "kern.tools.wikipedia": "WikipediaTools",
    "kern.tools.reasoning": "ReasoningTools",
    "kern.tools.mcp": "MCPTools MultiMCPTools",
    "kern.tools.openai": "OpenAITools",
    "kern.tools.fal": "FalTools",
    "kern.tools.moviepy_video": "MoviePyVideoTools",
    "kern.approval": "approval ApprovalType",
    "kern.media": "Image Audio Video File",
    "kern.metrics": "RunMetrics SessionMetrics ToolCallMetrics ModelMetrics",
    "kern.exceptions": """
        InputCheckError OutputCheckError CheckTrigger RetryAgentRun StopAgentRun
        RunCancelledException ModelProviderError ModelRateLimitError ContextWindowExceededError
        ModelAuthenticationError""",
    "kern.guardrails": """
        BaseGuardrail PIIDetectionGuardrail PromptInjectionGuardrail OpenAIModerationGuardrail""",
    "kern.guardrails.base": "BaseGuardrail",
    "kern.hooks": "hook",
    "kern.session": "AgentSession SessionSummary SessionSummaryManager",
    "kern.session.summary": "SessionSummary SessionSummaryManager",
    "kern.db.base": "SessionType",
    "kern.db.sqlite": "SqliteDb AsyncSqliteDb",
    "kern.db.postgres": "PostgresDb AsyncPostgresDb",
    "kern.db.in_memory": "InMemoryDb",
    "kern.reasoning.step": "ReasoningStep NextAction",
    "kern.memory": "MemoryManager UserMemory",
    "kern.memory.manager": "MemoryManager",
    "kern.learn": "LearningMachine LearningMode",
    "kern.skills": "Skills LocalSkills",
    "kern.compression.manager": "CompressionManager",
    "kern.registry": "Registry",
    "kern.team": "Team",
    "kern.team.team": "Team",
    "kern.workflow": "Workflow",
    "kern.knowledge": "Knowledge",
    "kern.knowledge.knowledge": "Knowledge",
    "kern.knowledge.document": "Document",
    "kern.knowledge.embedder.openai": "OpenAIEmbedder",
    "kern.vectordb.pgvector": "PgVector SearchType",
    "kern.filters": "EQ IN GT LT AND OR NOT",
    "kern.os": "AgentOS",
    "kern.utils.pprint": "pprint_run_response apprint_run_response",
    "kern.utils.audio": "write_audio_to_file",
    "kern.utils.log": """
        log_debug log_info log_warning log_error log_exception logger set_log_level_to_debug
        set_log_level_to_info use_agent_logger configure_logging configure_kern_logging""",
}
"""What each module has."""
